"""What machines are asked for when they are enrolled: public halves, a gateway's own key, which keys shook hands."""

FILE = "/etc/telekit/enrolment"
# A laptop's second line: the key that it has made to take the place of the first.
SHOW_PUBLIC = f"cat {FILE}; cat {FILE}-next 2>/dev/null; true"
# What a gateway says when its own key is asked for: on the connection's standard output, and so nowhere else.
SHOW_KEY = "cat /etc/wireguard/private.key"
# The public keys of kits and new keys that have been used, as the gateway remembers them; the last line: it has been asked.
SHOW_ARRIVED = """\
seen=$(wg show wg0 latest-handshakes 2>/dev/null) || exit 0
[ ! -d /sys/class/net/wg0-next ] || seen="$seen
$(wg show wg0-next latest-handshakes 2>/dev/null)"
cat /var/lib/telekit/arrived 2>/dev/null
printf '%s\\n' "$seen" | awk '$2 > 0 { print $1 }'
echo all
"""
# The public keys of the devices that use a gateway's next key; the last line: it has been asked.
SHOW_MOVED = """\
[ -d /sys/class/net/wg0-next ] || exit 0
cat /var/lib/telekit/moved 2>/dev/null
echo all
"""
