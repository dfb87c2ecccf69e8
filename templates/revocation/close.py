"""Close devices' tunnels on this gateway at once, so that neither a timer nor a reboot opens them; or look whether they are.

telekit sends this program over its connection when a device is stolen. File descriptor 3 holds what is meant, as JSON: the
keys, names and tunnel addresses of the devices. The answer is JSON on standard output. No secret is in either.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

# A second one is there while the gateway's own key is being replaced.
INTERFACES = ("wg0", "wg0-next")
SCHEDULE = Path("/etc/telekit/access.json")
TUNNELS = tuple(Path(f"/etc/wireguard/{interface}.conf") for interface in INTERFACES)
SHARED = Path("/etc/wireguard/preshared.keys")
FIREWALL = (Path("/etc/telekit/nftables.conf"), Path("/etc/nftables.conf"))
SETS = re.compile(r"(varying_)?(peers|access)[46]")


@dataclass(frozen=True)
class Wish:
    """Whose tunnels must be closed."""

    keys: list[str]
    names: list[str]
    addresses: list[str]


def run(*command: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=30)


# -- WireGuard ---------------------------------------------------------------------------------------------------------


def seen(wish: Wish) -> list[dict[str, object]]:
    """The devices among the peers: when and from where they last shook hands, and how much went through."""
    found: dict[str, dict[str, object]] = {}
    moments: dict[str, int] = {}
    for interface in _up():
        told = {what: dict(_columns(interface, what)) for what in ("latest-handshakes", "endpoints", "transfer")}
        for key in wish.keys:
            if key in told["latest-handshakes"] and int(told["latest-handshakes"][key]) >= moments.get(key, 0):
                received, sent = (told["transfer"].get(key) or "0\t0").split("\t")
                moments[key], place = int(told["latest-handshakes"][key]), told["endpoints"].get(key, "(none)")
                known = {"handshake": moments[key], "endpoint": place, "received": int(received), "sent": int(sent)}
                found[key] = {"key": key, **known}
    return list(found.values())


def _up() -> list[str]:
    return [interface for interface in INTERFACES if Path(f"/sys/class/net/{interface}").exists()]


def _columns(interface: str, what: str) -> Iterator[tuple[str, str]]:
    for line in run("wg", "show", interface, what).stdout.splitlines():
        key, _, value = line.partition("\t")
        yield key, value


def remove_peers(wish: Wish) -> None:
    arguments = [word for key in wish.keys for word in ("peer", key, "remove")]
    for interface in _up() if arguments else ():
        done = run("wg", "set", interface, *arguments)
        if done.returncode != 0:
            sys.exit(f"the peers could not be removed: {done.stderr.strip()}")


# -- the firewall ------------------------------------------------------------------------------------------------------


def elements(wish: Wish) -> dict[str, list[str]]:
    """Set → its elements that begin with one of the addresses, as nft writes them."""
    done = run("nft", "--json", "list", "table", "inet", "telekit")
    if done.returncode != 0:
        return {}
    found = {}
    for item in json.loads(done.stdout)["nftables"]:
        held = item.get("set", {})
        if SETS.fullmatch(held.get("name", "")):
            words = [_words(element) for element in held.get("elem", [])]
            found[held["name"]] = [" . ".join(parts) for parts in words if parts[0] in wish.addresses]
    return {name: listed for name, listed in found.items() if listed}


def _words(element: object) -> list[str]:
    if isinstance(element, dict):
        element = element["elem"]["val"] if "elem" in element else element
    return [str(part) for part in element["concat"]] if isinstance(element, dict) else [str(element)]


def remove_elements(wish: Wish) -> int:
    """In one step, and only the devices' own; how many there were."""
    found = elements(wish)
    text = "".join(f"delete element inet telekit {name} " + "{ " + ", ".join(listed) + " }\n" for name, listed in found.items())
    if text and (done := run("nft", "--file", "-", text=text)).returncode != 0:
        sys.exit(f"the firewall kept them: {done.stderr.strip()}")
    return sum(map(len, found.values()))


def connections(wish: Wish, *, cut: bool) -> int | None:
    """The running connections of the devices, cut or only counted; None: this machine has no conntrack to ask."""
    number = 0
    for address in wish.addresses:
        for end in ("--orig-src", "--orig-dst"):
            family = "ipv6" if ":" in address else "ipv4"
            try:
                done = run("conntrack", "--delete" if cut else "--dump", "--family", family, end, address)
            except FileNotFoundError:
                return None
            counted = re.search(r"(\d+) flow entries have been", done.stderr)
            if counted is None:
                return None
            number += int(counted[1])
    return number


# -- what is read at boot, and every minute ----------------------------------------------------------------------------


def without_schedule(text: str, wish: Wish) -> str:
    """The schedule of accesses that vary by themselves, laid out as telekit lays it out."""
    held = json.loads(text)
    laptops = held.pop("laptops")
    kept = [entry for entry in laptops if not (entry["laptop"] in wish.names or set(entry["addresses"]) & set(wish.addresses))]
    if kept == laptops:
        return text
    lines = [f'"{key}": {json.dumps(value)},' for key, value in held.items()]
    listed = ",\n".join(json.dumps(entry) for entry in kept)
    return "\n".join(["{", *lines, '"laptops": [', *([listed] if listed else []), "]}", ""])


def without_peers(text: str, wish: Wish) -> str:
    """wg0.conf: a peer is a paragraph."""
    keys = "|".join(map(re.escape, wish.keys))
    gone = re.compile(rf"^PublicKey *= *({keys}) *$", re.MULTILINE)
    parts = text.split("\n\n")
    kept = [part for part in parts if not ("[Peer]" in part and "[Interface]" not in part and keys and gone.search(part))]
    return text if kept == parts else "\n\n".join(kept).rstrip("\n") + "\n"


def without_elements(text: str, wish: Wish) -> str:
    """The ruleset: an element is a line, and nft takes no set with a list of nothing."""
    addresses = "|".join(map(re.escape, wish.addresses))
    if not addresses:
        return text
    text = re.sub(rf"^\t+({addresses})( \.|,).*\n", "", text, flags=re.MULTILINE)
    return re.sub(r"^\t+elements = \{\n\t+\}\n", "", text, flags=re.MULTILINE)


def without_shared(text: str, wish: Wish) -> str:
    """The file of preshared keys: public key, space, preshared key."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if line.split(" ")[0] not in wish.keys)


def rewrite(file: Path, without: Callable[[str, Wish], str], wish: Wish) -> bool:
    """Whole or not at all, with the mode it has; whether there was anything to take out."""
    if not file.exists():
        return False
    text = file.read_text(encoding="utf-8")
    changed = without(text, wish)
    if changed == text:
        return False
    new = file.with_name(f"{file.name}.new")
    new.touch(mode=0o600)
    new.write_text(changed, encoding="utf-8")
    new.chmod(file.stat().st_mode & 0o777)
    if file in FIREWALL and (done := run("nft", "--check", "--file", str(new))).returncode != 0:
        new.unlink()
        sys.exit(f"{file} was left as it is: {done.stderr.strip()}")
    new.replace(file)
    return True


def naming(wish: Wish) -> list[str]:
    """The files that would let the devices in again."""
    editors = {SCHEDULE: without_schedule, SHARED: without_shared} | dict.fromkeys(TUNNELS, without_peers)
    editors |= dict.fromkeys(FIREWALL, without_elements)
    texts = {file: file.read_text(encoding="utf-8") for file in editors if file.exists()}
    return [str(file) for file, text in texts.items() if editors[file](text, wish) != text]


# -- the program -------------------------------------------------------------------------------------------------------


def close(wish: Wish) -> dict[str, object]:
    """The tunnel before everything: what is done next only keeps it closed."""
    known = seen(wish)
    remove_peers(wish)
    closed = datetime.now(UTC).isoformat(timespec="seconds")
    if rewrite(SCHEDULE, without_schedule, wish):
        # A run that read the schedule before could let them in once more.
        run("systemctl", "stop", "telekit-access.service", "telekit-rotation.service")
        remove_peers(wish)
    removed = remove_elements(wish)
    cut = connections(wish, cut=True)
    for file in FIREWALL:
        rewrite(file, without_elements, wish)
    for file in TUNNELS:
        rewrite(file, without_peers, wish)
    rewrite(SHARED, without_shared, wish)
    # It goes on with the others, by the files as they are now.
    run("systemctl", "start", "--no-block", "telekit-access.service")
    return {"closed": closed, "seen": known, "elements": removed, "connections": cut}


def look(wish: Wish) -> dict[str, object]:
    """What is left of the devices: nothing, if they are shut out."""
    peers = [entry["key"] for entry in seen(wish)]
    left = [f"{name} {element}" for name, listed in elements(wish).items() for element in listed]
    return {"peers": peers, "elements": left, "connections": connections(wish, cut=False), "files": naming(wish)}


def main(what: str, wanted: Iterable[str]) -> None:
    began = time.monotonic()
    wish = Wish(**json.loads("".join(wanted)))
    answer = close(wish) if what == "close" else look(wish)
    print(json.dumps({**answer, "seconds": round(time.monotonic() - began, 3)}))


if __name__ == "__main__":
    with open(3, encoding="utf-8") as given:
        main(sys.argv[1], given)
