"""The ledger never gives an address twice, and never moves one, whoever comes and goes."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import date
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit import ledger
from toolkit.errors import TelekitError, UsageError
from toolkit.ledger import Handover, Lease, Ledger, Revocation
from toolkit.model import Commune, Desktop, Endpoint, Gateway, Laptop, LocalNetwork, SshAddress, System


def town(laptops: list[str], tunnel: str = "10.194.0.0/28", tunnel6: str | None = "fd94:194::/64") -> Commune:
    network = LocalNetwork(
        lan=(IPv4Network("10.94.0.0/20"),), tunnel=IPv4Network(tunnel), tunnel6=IPv6Network(tunnel6) if tunnel6 else None
    )
    return Commune(
        slug="essai",
        name="Essai",
        insee="94002",
        domain="essai.example",
        network=network,
        gateways=(Gateway("gw", SshAddress("10.94.0.1"), Endpoint("vpn.essai.example", 51820)),),
        desktops=(Desktop("bureau-1", IPv4Address("10.94.2.1"), SshAddress("10.94.2.1")),),
        laptops=tuple(Laptop(name) for name in laptops),
    )


def key(number: int) -> str:
    return base64.b64encode(number.to_bytes(32, "big")).decode()


def addresses(book: Ledger) -> dict[str, str]:
    return {name: str(lease.address) for name, lease in book.leases.items()}


NAMES = [f"portable-{number:02}" for number in range(30)]
STEPS = st.lists(st.lists(st.sampled_from(NAMES), max_size=13, unique=True), min_size=1, max_size=12)


@settings(max_examples=120, deadline=None)
@given(STEPS)
def test_no_address_is_given_twice_and_none_moves_in_any_order_of_joins_and_leaves(steps: list[list[str]]) -> None:
    """A /28 has room for exactly the thirteen laptops that may be there at once."""
    book, before = Ledger(), {}
    for names in steps:
        commune = town(names)
        book = book.allocated(commune)
        now = {name: (lease.address, lease.address6) for name, lease in book.leases.items()}
        assert set(now) == set(names)
        assert len({v4 for v4, _ in now.values()}) == len({v6 for _, v6 in now.values()}) == len(names)
        assert all(
            v4 in commune.network.tunnel and v4 not in (commune.network.tunnel[i] for i in (0, 1, -1)) for v4, _ in now.values()
        )
        assert all(now[name] == given for name, given in before.items() if name in now)
        assert not {v4 for v4, _ in now.values()} & {lease.address for _, lease in book.retired}
        assert book.allocated(commune) == book
        before = now


@settings(max_examples=80, deadline=None)
@given(
    STEPS,
    st.sampled_from(["10.194.0.0/27", "10.195.0.0/28", "10.194.0.0/29"]),
    st.sampled_from([None, "fd95::/64", "fd94:194::/124"]),
)
def test_whatever_the_tunnel_becomes_no_address_is_given_twice(steps: list[list[str]], tunnel: str, tunnel6: str | None) -> None:
    book = Ledger()
    for names in steps:
        book = book.allocated(town(names))
    few = steps[-1][:4]
    moved = book.allocated(town(few, tunnel, tunnel6)).allocated(town(few))
    assert len(set(addresses(moved).values())) == len(few)
    assert len({lease.address6 for lease in moved.leases.values()}) == len(few)


def test_the_first_laptop_gets_the_address_after_the_gateways() -> None:
    lease = Ledger().allocated(town(["a"])).leases["a"]
    assert lease == Lease(IPv4Address("10.194.0.2"), IPv6Address("fd94:194::2"))


def test_a_row_that_moves_moves_no_address() -> None:
    book = Ledger().allocated(town(["a", "b", "c"]))
    assert addresses(book.allocated(town(["c", "new", "a", "b"]))) | {"new": ""} == addresses(book) | {"new": ""}


def test_an_address_that_was_given_up_is_reused_last_and_the_oldest_first() -> None:
    book = Ledger().allocated(town(NAMES[:13])).allocated(town(NAMES[1:13])).allocated(town(NAMES[2:13]))
    assert [name for name, _ in book.retired] == NAMES[:2]
    book = book.allocated(town([*NAMES[2:13], "new-1"]))
    assert addresses(book)["new-1"] == "10.194.0.2"
    assert [name for name, _ in book.retired] == NAMES[1:2]
    roomy = Ledger().allocated(town(["a", "b"])).allocated(town(["b"])).allocated(town(["b", "c"]))
    assert addresses(roomy)["c"] == "10.194.0.4"


def test_a_laptop_that_comes_back_has_its_address_but_not_its_old_key() -> None:
    book = Ledger().allocated(town(["a", "b"])).enrolled("a", key(1))
    back = book.allocated(town(["b"])).allocated(town(["b", "c", "a"]))
    assert addresses(back)["a"] == addresses(book)["a"]
    assert back.keys == {}
    assert back.retired == ()


def test_a_laptop_that_comes_back_keeps_its_address_from_a_newcomer_that_stands_before_it() -> None:
    full = Ledger().allocated(town(NAMES[:13])).allocated(town(NAMES[:11]))
    back = full.allocated(town(["new", *NAMES[:12]]))
    assert addresses(back)[NAMES[11]] == "10.194.0.13"
    assert addresses(back)["new"] == "10.194.0.14"


def test_a_tunnel_without_room_is_refused() -> None:
    with pytest.raises(UsageError, match="no address left"):
        Ledger().allocated(town(NAMES[:14]))


def test_ipv6_can_be_added_later_and_matches_the_place_of_ipv4() -> None:
    book = Ledger().allocated(town(["a", "b"], tunnel6=None))
    assert book.leases["b"].address6 is None
    assert str(book.allocated(town(["a", "b"])).leases["b"].address6) == "fd94:194::3"


def test_a_commune_is_completed_with_addresses_keys_and_certificates() -> None:
    commune = town(["a", "b"])
    book = Ledger().allocated(commune).enrolled("gw", key(1)).enrolled("a", key(2)).certified("bureau-1", "PEM")
    full = book.complete(commune)
    assert full.gateway.public_key == key(1)
    assert full.desktops[0].certificate == "PEM"
    assert full.laptops[0] == Laptop("a", None, None, IPv4Address("10.194.0.2"), IPv6Address("fd94:194::2"), key(2))
    assert full.laptops[1].public_key is None
    without6 = replace(commune, network=replace(commune.network, tunnel6=None))
    assert book.complete(without6).laptops[0].tunnel_address6 is None


def test_what_left_the_inventory_left_the_ledger() -> None:
    book = Ledger().allocated(town(["a"])).enrolled("gw", key(1)).enrolled("a", key(2)).certified("bureau-9", "PEM")
    book = book.allocated(town([]))
    assert (dict(book.keys), dict(book.certificates)) == ({"gw": key(1)}, {})


@pytest.mark.parametrize("public", ["", "abc", key(1)[:-1], key(1) + "\n", "é" * 44, key(0)])
def test_what_is_no_wireguard_key_is_refused(public: str) -> None:
    with pytest.raises(TelekitError, match=r"a: what it gave is not a WireGuard public key"):
        Ledger().enrolled("a", public)


def test_another_machines_key_in_other_letters_is_refused() -> None:
    known = base64.b64encode(bytes(31) + b"\x01").decode()
    disguised = known.replace("E=", "F=")
    assert base64.b64decode(disguised) == base64.b64decode(known)
    with pytest.raises(TelekitError, match="not a WireGuard public key"):
        Ledger().enrolled("a", known).enrolled("b", disguised)


def test_two_machines_with_one_key_are_refused() -> None:
    book = Ledger().enrolled("a", key(1)).enrolled("a", key(1))
    with pytest.raises(TelekitError, match=r"b: its WireGuard key is also a's \(the disk was cloned"):
        book.enrolled("b", key(1))


def test_a_ledger_is_read_as_it_was_written(tmp_path: Path) -> None:
    book = Ledger().allocated(town(["a", "b", "c"])).allocated(town(["b"])).enrolled("b", key(3)).certified("bureau-1", "PEM\n")
    ledger.write(tmp_path, book)
    assert ledger.read(tmp_path) == book
    assert [file.name for file in tmp_path.iterdir()] == ["ledger.json"]


KIT = Handover(date(2026, 11, 25), date(2026, 12, 2), "m.durand")


def test_the_ledger_says_in_whose_kit_a_devices_key_is() -> None:
    commune = town(["a", "b"])
    commune = replace(
        commune, laptops=tuple(replace(m, system=System.WINDOWS if m.name == "a" else m.system) for m in commune.laptops)
    )
    book = Ledger().allocated(commune).handed_over("a", KIT).handed_over("b", KIT)
    assert [laptop.key_of for laptop in book.complete(commune).laptops] == ["m.durand", None], "telekit made no key for b"


def test_a_kit_stays_on_record_until_its_laptop_leaves(tmp_path: Path) -> None:
    book = Ledger().allocated(town(["a", "b"])).handed_over("a", KIT).handed_over("b", KIT)
    ledger.write(tmp_path, book)
    assert ledger.read(tmp_path) == book
    left = ledger.read(tmp_path).allocated(town(["a"])).allocated(town(["a", "b"]))
    assert dict(left.kits) == {"a": KIT}


def test_a_kit_is_used_or_lapses_and_the_two_stay_on_record(tmp_path: Path) -> None:
    names = ["a", "b", "c"]
    commune = replace(town(names), laptops=tuple(Laptop(name, system=System.WINDOWS) for name in names))
    book = Ledger().allocated(commune)
    for number, name in enumerate(names, start=1):
        book = book.enrolled(name, key(number)).handed_over(name, replace(KIT, expires=date(2026, 12, number)))
    book = book.arrived({key(1), key(9)})
    assert book.overdue(date(2026, 12, 2)) == ()
    assert book.overdue(date(2026, 12, 3)) == ("b",)
    book = book.lapsed(["b"])
    assert book.overdue(date(2026, 12, 3)) == ()
    assert book.arrived({key(2)}).kits["b"].used is False, "its key was replaced: what it did before counts no more"
    ledger.write(tmp_path, book)
    assert ledger.read(tmp_path) == book
    laptops = book.complete(commune).laptops
    assert [(m.kit_until, m.kit_lapsed) for m in laptops] == [
        (None, False), (date(2026, 12, 2), True), (date(2026, 12, 3), False),
    ]  # fmt: skip


def test_a_ledger_from_before_there_were_kits_is_read(tmp_path: Path) -> None:
    (tmp_path / "ledger.json").write_text(json.dumps(GOOD))
    assert ledger.read(tmp_path) == Ledger()


def stolen(laptop: str, number: int) -> Revocation:
    return Revocation(laptop, key(number), "2026-11-25T07:12:00+00:00", "stolen", "m.durand")


def test_a_revoked_key_opens_nothing_and_is_never_accepted_again_from_any_machine(tmp_path: Path) -> None:
    commune = town(["a", "b"])
    book = Ledger().allocated(commune).enrolled("a", key(1)).enrolled("b", key(2))
    book = book.handed_over("a", Handover(date(2026, 11, 1), date(2026, 11, 8), "m.durand")).with_revoked([stolen("a", 1)])
    assert (dict(book.keys), dict(book.kits)) == ({"b": key(2)}, {})
    assert {laptop.name: laptop.public_key for laptop in book.complete(commune).laptops} == {"a": None, "b": key(2)}
    ledger.write(tmp_path, book)
    for later in (book, book.allocated(town(["c"])), ledger.read(tmp_path)):
        for name in ("a", "b", "c", "gw"):
            with pytest.raises(TelekitError, match=r"revoked on 2026-11-25 \(a, m\.durand: stolen\)"):
                later.enrolled(name, key(1))
    assert book.enrolled("a", key(3)).keys["a"] == key(3)


def test_a_key_is_revoked_once_and_the_devices_next_key_stays() -> None:
    book = Ledger().enrolled("a", key(1)).with_revoked([stolen("a", 1)]).enrolled("a", key(2))
    assert book.with_revoked([stolen("a", 1)]) == book


def test_a_ledger_that_says_the_same_is_not_written_again(tmp_path: Path) -> None:
    book = Ledger().allocated(town(["a"]))
    ledger.write(tmp_path, book)
    before = (tmp_path / "ledger.json").stat().st_ino
    ledger.write(tmp_path, book)
    assert (tmp_path / "ledger.json").stat().st_ino == before


def test_a_ledger_that_cannot_be_written_is_told_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere/ledger\.json: cannot be written: No such file or directory"):
        ledger.write(tmp_path / "nowhere", Ledger())


def test_there_is_nothing_in_the_ledger_before_the_first_provision(tmp_path: Path) -> None:
    assert ledger.read(tmp_path) == Ledger()


GOOD = {"version": 1, "leases": {}, "retired": [], "keys": {}, "certificates": {}}
DAMAGED = [
    b"",
    b"{",
    b"[]",
    b"\xff",
    b"[" * 100_000,
    json.dumps(GOOD | {"version": 2}).encode(),
    json.dumps(GOOD | {"leases": {"a": {"address": "10.0.0.300"}}}).encode(),
    json.dumps(GOOD | {"leases": {"a": {"address": 3}}}).encode(),
    json.dumps(GOOD | {"leases": {"a": {"address": "10.0.0.2"}, "b": {"address": "10.0.0.2"}}}).encode(),
    json.dumps(GOOD | {"keys": {"a": None}}).encode(),
    json.dumps({"version": 1}).encode(),
    json.dumps(GOOD | {"kits": {"a": {"made": "soon", "expires": "2026-12-02", "agent": "m.durand"}}}).encode(),
]


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_ledger_is_refused_with_advice(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ledger.json").write_bytes(content)
    with pytest.raises(UsageError, match=r"ledger.json: the ledger is damaged \(restore it from a backup"):
        ledger.read(tmp_path)


@given(st.binary(max_size=200))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_a_ledger_or_a_usage_error(content: bytes) -> None:

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "ledger.json").write_bytes(content)
        with pytest.raises(UsageError):
            ledger.read(Path(folder))


WRITER = """
import sys
import tempfile
from pathlib import Path
from toolkit.atomic import replace_file
number = 0
while True:
    number += 1
    replace_file(Path(sys.argv[1]), b"%09d" % number * 100_000, mode=0o600)
    print(number, flush=True)
"""


def test_a_file_is_whole_when_its_writer_is_killed_and_the_next_write_leaves_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "ledger.json"
    for _ in range(5):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(file)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        content = file.read_bytes()
        assert len(content) == 900_000
        assert content == content[:9] * 100_000
    ledger.write(tmp_path, Ledger())
    assert [entry.name for entry in tmp_path.iterdir()] == ["ledger.json"]
    assert file.stat().st_mode & 0o777 == 0o644
