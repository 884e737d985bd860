"""A receiver of knocks, after docs/protocol.md alone, on the primitives of clients/knock.py.

    knock_reader.py VECTORS: prints a JSON object, name of each vector to what this receiver says of it.
"""
import base64
import hashlib
import json
import os
import re
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../clients"))
import knock as client  # noqa: E402

SKEW_MILLISECONDS = 10_000


class Refused(Exception):
    """Its text is the check that failed."""


def require(good, check):
    if not good:
        raise Refused(check)


def decode_request(body):
    """The time in milliseconds, after every rule of the section "Request"."""
    version, flags, milliseconds = struct.unpack(">BBQ", body[:10])
    require(version == 1 and flags & 0xC0 == 0, "request")
    at = 10

    def take(size):
        nonlocal at
        require(at + size <= len(body), "request")
        at += size
        return body[at - size : at]

    if flags & client.WINDOW:
        require(struct.unpack(">I", take(4))[0] > 0, "request")
    if flags & client.PREFIX:
        require(1 <= take(1)[0] <= 128, "request")
    for flag in (client.OTHER, client.HOST):
        if flags & flag:
            family = take(1)[0]
            require(family in (4, 6), "request")
            take(4 if family == 4 else 16)
    if flags & client.SERVICES:
        count = take(1)[0]
        require(count > 0, "request")
        names = []
        for _ in range(count):
            name = take(take(1)[0])
            require(re.fullmatch(rb"[A-Za-z0-9][A-Za-z0-9_-]{0,39}", name), "request")
            names.append(name)
        require(names == sorted(set(names)), "request")
    require(not any(body[at:]), "request")
    return milliseconds


def check_time(identity, prefix, milliseconds, now):
    require(identity.prefix(milliseconds // client.PERIOD_MILLISECONDS) == prefix, "period")
    require(abs(now - milliseconds) <= SKEW_MILLISECONDS, "time")


def verify(line, message, signature):
    """By ssh-keygen, which knows nothing of knocks."""
    kind, blob = line.split()[:2]
    half = len(signature) // 2

    def string(value):
        return struct.pack(">I", len(value)) + value

    def number(value):
        value = value.lstrip(b"\0") or b"\0"
        return string(b"\0" + value if value[0] & 0x80 else value)

    raw = signature if kind == "ssh-ed25519" else number(signature[:half]) + number(signature[half:])
    parts = [base64.b64decode(blob), b"knock@pkctl", b"", b"sha512", string(kind.encode()) + string(raw)]
    whole = base64.b64encode(b"SSHSIG\0\0\0\1" + b"".join(map(string, parts))).decode()
    with tempfile.TemporaryDirectory() as directory:
        signers, file = os.path.join(directory, "signers"), os.path.join(directory, "signature")
        with open(signers, "w", encoding="ascii") as out:
            out.write("user " + line + "\n")
        with open(file, "w", encoding="ascii") as out:
            out.write("-----BEGIN SSH SIGNATURE-----\n%s\n-----END SSH SIGNATURE-----\n" % whole)
        command = ["ssh-keygen", "-Y", "verify", "-f", signers, "-I", "user", "-n", "knock@pkctl", "-s", file]
        return subprocess.run(command, input=message, capture_output=True, check=False).returncode == 0


def judge(vectors, case):
    packet, port, now = bytes.fromhex(case["payload"]), case["port"], case["now"]
    identity = client.Identity.parse(vectors["server"]["identity"])
    require(len(packet) in (160, 256, 1024), "size")
    period = now // client.PERIOD_MILLISECONDS
    prefix, salt, check = packet[:8], packet[8:24], packet[24:40]
    near = [one for one in (period - 1, period, period + 1) if identity.prefix(one) == prefix]
    require(near, "prefix")
    require(identity.check(packet[:24], packet[40:]) == check, "check")
    hidden_size = 8 if len(packet) == 160 else 32
    masked, sealed = packet[40 : 40 + hidden_size], packet[40 + hidden_size :]
    hidden = identity.masked(masked, salt)
    data = packet[:24] + masked + struct.pack(">H", port)
    if len(packet) == 160:
        keys = [bytes.fromhex(key) for key in vectors["symmetric"].values()]
        mine = [key for key in keys if client.symmetric_hint(identity, key, near[0]) == hidden]
        require(mine, "hint")
        body = client.unseal(client.symmetric_key(identity, mine[0], salt), data, sealed)
        require(body is not None, "seal")
        check_time(identity, prefix, decode_request(body), now)
        return
    private = bytes.fromhex(vectors["server"]["privateKey"])
    shared = client.x25519(private, hidden)
    require(hidden[31] & 0x80 == 0 and any(shared), "ephemeral")
    body = client.unseal(client.signed_key(identity, shared, salt, hidden), data, sealed)
    require(body is not None, "seal")
    check_time(identity, prefix, decode_request(body[:67]), now)
    signer, proof = body[67:-69], body[-69:]
    # None of the vectors is signed by a FIDO token or an authority that this receiver knows.
    require(len(signer) == 32 and proof[:5] == bytes(5), "signer" if len(signer) != 32 else "signature")
    lines = [line for line in vectors["ssh"].values() if fingerprint(line) == signer]
    require(lines, "signer")
    message = client.signed_message(identity, port, packet[:24], hidden, body[:-69])
    require(verify(lines[0], message, proof[5:]), "signature")


def fingerprint(line):
    return hashlib.sha256(base64.b64decode(line.split()[1])).digest()


def outcome(vectors, case):
    try:
        judge(vectors, case)
        return "accepted"
    except Refused as refused:
        return str(refused)


def main():
    with open(sys.argv[1], encoding="utf8") as file:
        vectors = json.load(file)
    json.dump({case["name"]: outcome(vectors, case) for case in vectors["cases"]}, sys.stdout)


if __name__ == "__main__":
    main()
