#!/bin/sh
# Sends knocks to pkctl. POSIX shell, OpenSSL 3, and one of socat, nc or bash to send a datagram.
#
#   knock.sh HOST --pkd TAG --key-file FILE [--port PORT]
#   knock.sh HOST --identity pk1:... --key-file FILE [--port PORT] [--close]
#
# The packets are those of docs/protocol.md, and the PKD knock of ipt_pkd and nf-pkd. Other users of the machine can read the
# arguments of programs. So openssl gets the shared key by a pipe, and only keys that are good for one packet as arguments.
set -eu
LC_ALL=C
export LC_ALL

fail() { # MESSAGE [HINT]
  printf 'knock.sh: error: %s\n' "$1" >&2
  [ $# -lt 2 ] || printf 'knock.sh: hint: %s\n' "$2" >&2
  exit 1
}
synopsis() {
  sed -n '4,5s/^# */usage: /p' "$0"
}
usage() { # MESSAGE
  printf 'knock.sh: error: %s\n' "$1" >&2
  synopsis >&2
  exit 2
}

# Bytes are strings of hex digits everywhere but in pipes.

raw() { # HEX: the bytes
  rest=$1 escapes=
  while [ -n "$rest" ]; do
    byte=$((0x${rest%"${rest#??}"})) rest=${rest#??}
    escapes=$escapes\\0$((byte / 64))$((byte / 8 % 8))$((byte % 8))
  done
  printf '%b' "$escapes"
}
hex() { # reads bytes
  od -An -v -tx1 | tr -d ' \n'
}
text() { # TEXT as hex
  printf '%s' "$1" | hex
}
number() { # VALUE BYTES: big-endian
  printf "%0$(($2 * 2))x" "$1"
}
swapped() { # HEX with its bytes in the other order
  rest=$1 result=
  while [ -n "$rest" ]; do
    result=${rest%"${rest#??}"}$result rest=${rest#??}
  done
  printf '%s' "$result"
}
filled() { # HEX BYTES: with zeros at the end
  result=$1
  while [ ${#result} -lt $(($2 * 2)) ]; do result=${result}00; done
  printf '%s' "$result"
}
repeated() { # BYTE COUNT
  printf '%s' "$(filled '' "$2")" | sed "s/00/$1/g"
}
first() { # HEX BYTES
  printf '%s' "$1" | cut -c "1-$(($2 * 2))"
}
xor() { # HEX HEX, as long as the first
  one=$1 other=$2
  set --
  while [ -n "$one" ]; do
    set -- "$@" $((0x${one%"${one#??}"} ^ 0x${other%"${other#??}"}))
    one=${one#??} other=${other#??}
  done
  printf '%02x' "$@"
}

sha256() { # HEX
  raw "$1" | openssl dgst -sha256 -binary | hex
}
# By its definition in RFC 2104, because openssl takes the key of an HMAC as an argument only.
hmac() { # KEY DATA
  padded=$(filled "$1" 64)
  inner=$(xor "$padded" "$(repeated 36 64)")
  outer=$(xor "$padded" "$(repeated 5c 64)")
  sha256 "$outer$(sha256 "$inner$2")"
}
hkdf() { # SECRET SALT INFO
  hmac "$(hmac "$2" "$1")" "${3}01"
}
# OpenSSL's IV of ChaCha20 is the counter, little-endian, and the nonce, which is zero here.
chacha20() { # KEY COUNTER DATA
  raw "$3" | openssl enc -chacha20 -nopad -K "$1" -iv "$(filled "$(swapped "$(number "$2" 4)")" 16)" | hex
}
rounded() { # HEX, with zeros up to a multiple of 16 bytes
  filled "$1" $(((${#1} / 2 + 15) / 16 * 16))
}
# ChaCha20-Poly1305 of RFC 8439: `openssl enc` has no authenticated ciphers.
seal() { # KEY DATA PLAINTEXT: DATA is authenticated only
  ciphertext=$(chacha20 "$1" 1 "$3")
  once=$(chacha20 "$1" 0 "$(filled '' 32)")
  lengths=$(swapped "$(number $((${#2} / 2)) 8)")$(swapped "$(number $((${#ciphertext} / 2)) 8)")
  tag=$(raw "$(rounded "$2")$(rounded "$ciphertext")$lengths" | openssl mac -macopt "hexkey:$once" -binary Poly1305 | hex)
  printf '%s%s' "$ciphertext" "$tag"
}

pkd_packet() { # TAG KEY PORT SECONDS RANDOM
  header=$(filled "$1" 4)$(swapped "$(number "$4" 8)")$5
  port=$(number "$3" 2)
  printf '%s%s' "$header" "$(sha256 "$port$port$header$(filled "$2" 40)")"
}

symmetric_packet() { # IDENTITY KEY PORT MILLISECONDS SALT FLAGS
  period=$(number $(($4 / 30000)) 8)
  prefix=$(first "$(hmac "$(hmac "$1" "$(text 'pkctl knock 1 prefix')")" "$period")" 8)
  stream=$(hmac "$(hmac "$1" "$(text 'pkctl knock 1 mask')")" "$5")
  hint=$(first "$(hmac "$(hmac "$2" "$(text 'pkctl knock 1 hint')$1")" "$period")" 8)
  masked=$(xor "$hint" "$stream")
  key=$(hkdf "$2" "$5" "$(text 'pkctl knock 1 symmetric')$1")
  body=$(filled "01$(number "$6" 1)$(number "$4" 8)" 96)
  sealed=$(seal "$key" "$prefix$5$masked$(number "$3" 2)" "$body")
  check=$(first "$(hmac "$(hmac "$1" "$(text 'pkctl knock 1 mac')")" "$prefix$5$masked$sealed")" 16)
  printf '%s' "$prefix$5$check$masked$sealed"
}

# ASCII, or hex behind 0x; an odd last digit is the high half of its byte.
key_bytes() { # TEXT MOST-BYTES WHAT
  case $1 in
  0[xX]*)
    bytes=$(printf '%s' "${1#0?}" | tr A-F a-f)
    case $bytes in '' | *[!0-9a-f]*) fail "the $3 starts with 0x and is not hex after it" ;; esac
    [ $((${#bytes} % 2)) -eq 0 ] || bytes=${bytes}0
    ;;
  *) bytes=$(text "$1") ;;
  esac
  [ ${#bytes} -le $(($2 * 2)) ] || fail "the $3 has $((${#bytes} / 2)) bytes, and at most $2 are possible"
  printf '%s' "$bytes"
}
identity_bytes() { # pk1:...
  digits=${1#pk1:}
  case $1 in pk1:*) ;; *) digits= ;; esac
  case $digits in *[!A-Za-z0-9_-]*) digits= ;; esac
  [ ${#digits} -eq 43 ] || fail 'that is not an identity' 'it is what the server prints, like pk1: and 43 characters'
  printf '%s=\n' "$digits" | tr -- '-_' '+/' | openssl base64 -d -A | hex
}

send() { # HOST PORT PACKET
  if command -v socat >/dev/null; then
    case $1 in *:*) raw "$3" | socat -u - "UDP-SENDTO:[$1]:$2" ;; *) raw "$3" | socat -u - "UDP-SENDTO:$1:$2" ;; esac
  elif command -v nc >/dev/null; then
    raw "$3" | nc -u -w 1 "$1" "$2"
  elif command -v bash >/dev/null; then
    raw "$3" | bash -c 'cat >"/dev/udp/$0/$1"' "$1" "$2"
  else
    fail 'there is no program that sends a datagram' 'install socat'
  fi || fail "the knock could not be sent to $1"
}

host='' pkd='' identity='' key_file='' port='' flags=0 print=no
while [ $# -gt 0 ]; do
  case $1 in
  --pkd | --identity | --key-file | --port)
    [ $# -ge 2 ] && [ -n "$2" ] || usage "$1 needs a value"
    case $1 in --pkd) pkd=$2 ;; --identity) identity=$2 ;; --key-file) key_file=$2 ;; --port) port=$2 ;; esac
    shift
    ;;
  --close) flags=1 ;;
  --print) print=yes ;;
  --help)
    synopsis
    exit
    ;;
  -*) usage "there is no option $1" ;;
  *) [ -z "$host" ] || usage 'more than one host' && host=$1 ;;
  esac
  shift
done
[ -n "$host" ] || usage 'which host?'
[ -n "$key_file" ] || usage '--key-file is missing'
[ -n "$pkd$identity" ] || usage 'either --pkd or --identity is needed'
[ -z "$pkd" ] || [ -z "$identity" ] || usage 'either --pkd or --identity, not both'
[ -z "$pkd" ] || [ $flags = 0 ] || usage 'a PKD knock cannot ask for --close'
case $port in *[!0-9]* | ??????*) usage "$port is not a port" ;; esac
[ -z "$port" ] || { [ "$port" -ge 1 ] && [ "$port" -le 65535 ]; } || usage "$port is not a port"

[ -r "$key_file" ] || fail "$key_file cannot be read"
key=$(sed -n '1{s/^[[:space:]]*//;s/[[:space:]]*$//;p;}' "$key_file")
[ -n "$key" ] || fail "$key_file has no key in its first line" 'make one with: pkctl keygen --out FILE'

if [ -n "$pkd" ]; then
  [ -n "$port" ] || port=$((0x$(openssl rand -hex 2) % 64512 + 1024))
  tag=$(key_bytes "$pkd" 4 tag)
  key=$(key_bytes "$key" 40 key)
  packet=$(pkd_packet "$tag" "$key" "$port" "$(date +%s)" "$(openssl rand -hex 12)")
else
  port=${port:-62201}
  identity=$(identity_bytes "$identity")
  case $key in 0[xX]*) ;; *) key= ;; esac
  [ ${#key} -eq 66 ] || fail 'the key is not 32 bytes in hex behind 0x' 'make one with: pkctl keygen --out FILE'
  key=$(key_bytes "$key" 32 key)
  packet=$(symmetric_packet "$identity" "$key" "$port" "$(date +%s)000" "$(openssl rand -hex 16)" $flags)
fi
# For tests: the packet in hex, and nothing is sent.
if [ $print = yes ]; then printf '%s %s\n' "$port" "$packet"; else send "$host" "$port" "$packet"; fi
