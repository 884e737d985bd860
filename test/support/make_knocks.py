"""Prints the packets of clients/knock.py for the JSON on standard input, in hex, as JSON.

Input: {"identity": "pk1:...", "key": hex, "sshKeys": [file], "cases": [{"port", "milliseconds", "request"}]}.
Output: for each case a list, of the symmetric packet and then of one for each SSH key.
"""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../clients"))
import knock as client  # noqa: E402


def main():
    given = json.load(sys.stdin)
    identity, key = client.Identity.parse(given["identity"]), bytes.fromhex(given["key"])
    signers = [client.ssh_signer(file) for file in given["sshKeys"]]
    packets = []
    for case in given["cases"]:
        request = case["request"]
        for name in ("other", "host"):
            if request.get(name) is not None:
                request[name] = bytes.fromhex(request[name])
        port, time = case["port"], case["milliseconds"]
        made = [client.symmetric_packet(identity, key, port, time, os.urandom(16), **request)]
        for signer, sign in signers:
            entropy = os.urandom(16), os.urandom(32)
            made.append(client.signed_packet(identity, signer, sign, port, time, *entropy, **request))
        packets.append([packet.hex() for packet in made])
    json.dump(packets, sys.stdout)


if __name__ == "__main__":
    main()
