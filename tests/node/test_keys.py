"""Keys: where they come from, what is refused, that they are never shown, and the verbs."""

import json
import os
import stat
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from priomon_node.cli.keys import keygen, keys
from priomon_node.keys import KEY_LENGTH, Key, Keyring, KeyringError, write_key

ONE, TWO = Key(bytes(range(32))), Key(bytes(range(1, 33)))


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def refused(path: Path | None, environment: dict[str, str]) -> str:
    with pytest.raises(KeyringError) as caught:
        Keyring.load(path, environment)
    return str(caught.value)


def run(verb: click.Command, *arguments: str, **environment: str | None) -> Result:
    clean = dict.fromkeys(("PRIOMON_KEY", "PRIOMON_KEYS", "PRIOMON_KEY_FILE"))
    return CliRunner().invoke(verb, arguments, env=clean | environment)


@given(st.binary(min_size=KEY_LENGTH, max_size=KEY_LENGTH))
def test_a_key_survives_its_text_and_does_not_show_itself(secret: bytes) -> None:
    key = Key(secret)
    again = Key.parse(key.text, "here")
    assert again == key
    assert again.id == key.id
    assert len(key.id) == 4
    assert key.text not in repr(key)
    assert repr(secret) not in repr(key)


def test_an_id_is_fixed_because_it_is_on_the_wire() -> None:
    assert ONE.name == "981afbc7"
    assert ONE.name != TWO.name


def test_two_generated_keys_differ() -> None:
    assert Key.generate() != Key.generate()


def test_a_file_holds_keys_in_order_with_comments(tmp_path: Path) -> None:
    path = write(tmp_path / "keys", f"# the cluster's keys\n\n  {TWO.text}  # new\r\n{ONE.text}")
    ring = Keyring.load(path, {})
    assert ring is not None
    assert ring.keys == (TWO, ONE)
    assert [key.where for key in ring.keys] == [f"{path}:3", f"{path}:4"]
    assert ring.warning is None


@pytest.mark.parametrize("name", ["PRIOMON_KEY", "PRIOMON_KEYS"])
@pytest.mark.parametrize("separator", [",", " ", "\n", ", "])
def test_a_variable_holds_keys(name: str, separator: str) -> None:
    ring = Keyring.load(None, {name: separator.join((ONE.text, TWO.text)), "HOME": "/"})
    assert ring is not None
    assert ring.keys == (ONE, TWO)
    assert ring.keys[1].where == f"{name}, key 2"


def test_no_place_is_no_ring() -> None:
    assert Keyring.load(None, {"PRIOMON_BIND": "[::1]:7946"}) is None


@pytest.mark.parametrize("environment", [{"PRIOMON_KEY": ""}, {"PRIOMON_KEYS": " , "}])
def test_an_empty_variable_is_not_taken_for_no_key(environment: dict[str, str]) -> None:
    (name,) = environment
    assert refused(None, environment).startswith(f"{name} is set but empty")


def test_keys_in_two_places_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "keys", ONE.text)
    assert f"in the file {path} and in PRIOMON_KEY;" in refused(path, {"PRIOMON_KEY": ONE.text})
    assert "in PRIOMON_KEY and in PRIOMON_KEYS;" in refused(None, {"PRIOMON_KEY": ONE.text, "PRIOMON_KEYS": TWO.text})


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("# nothing\n\n", "", "expected one key per line, found none"),
        (f"{ONE.text}\n\nc2hvcnQ=\n", ":3", "expected 32 bytes, found 5"),
        (f"# keys\n{ONE.text[:-1]}\n", ":2", "expected a key as 44 characters of base64"),
        (f"{ONE.text[:20]} {ONE.text[20:]}\n", ":1", "expected a key as 44 characters of base64"),
        (f"{ONE.text}{TWO.text}\n", ":1", "expected a key as 44 characters of base64"),
        ("schlüssel\n", ":1", "expected a key as 44 characters of base64"),
        (f"{ONE.text}\n{TWO.text}\n{ONE.text}\n", ":3", f"key {ONE.name} is already there"),
    ],
)
def test_a_bad_file_is_refused_by_line_and_its_text_is_not_shown(tmp_path: Path, text: str, line: str, message: str) -> None:
    path = write(tmp_path / "keys", text)
    told = refused(path, {})
    assert told.startswith(f"{path}{line}: {message}")
    assert not any(word in told for word in text.split() if len(word) > 6)


def test_a_repeated_key_names_both_places(tmp_path: Path) -> None:
    path = write(tmp_path / "keys", f"{ONE.text}\n{ONE.text}\n")
    assert refused(path, {}).startswith(f"{path}:2: key {ONE.name} is already there ({path}:1)")


def test_a_ring_without_keys_is_refused() -> None:
    with pytest.raises(KeyringError, match="at least one key"):
        Keyring(())


def test_an_absent_file_and_a_folder_are_named(tmp_path: Path) -> None:
    assert refused(tmp_path / "absent", {}) == f"cannot read the key file {tmp_path}/absent: No such file or directory"
    assert refused(tmp_path, {}) == f"cannot read the key file {tmp_path}: Is a directory"


@pytest.mark.parametrize(("mode", "verb"), [(0o640, "read"), (0o604, "read"), (0o620, "change"), (0o602, "change"), (0o666, "change")])
def test_a_file_open_to_others_is_refused(tmp_path: Path, mode: int, verb: str) -> None:
    path = write(tmp_path / "keys", ONE.text, mode)
    assert refused(path, {}).startswith(f"{path}: others can {verb} it (mode {mode:04o}); chmod 600 {path}")


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_of_its_owner_is_read_without_a_warning(tmp_path: Path, mode: int) -> None:
    ring = Keyring.load(write(tmp_path / "keys", ONE.text, mode), {})
    assert ring == Keyring((ONE,))


@pytest.fixture
def read_only_mount(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fstatvfs", lambda _: SimpleNamespace(f_flag=os.ST_RDONLY))


@pytest.mark.usefixtures("read_only_mount")
@pytest.mark.parametrize("mode", [0o444, 0o440, 0o644])
def test_a_mounted_secret_that_others_can_read_is_warned_of(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path / "keys", ONE.text, mode)
    ring = Keyring.load(path, {})
    assert ring is not None
    assert ring.keys == (ONE,)
    assert ring.warning is not None
    assert ring.warning.startswith(f"{path} can be read by others (mode {mode:04o})")


@pytest.mark.usefixtures("read_only_mount")
def test_a_mounted_secret_that_others_can_change_is_refused(tmp_path: Path) -> None:
    assert "others can change it" in refused(write(tmp_path / "keys", ONE.text, 0o622), {})


def test_a_written_key_is_its_owners_and_can_be_loaded(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    before = os.umask(0)
    try:
        write_key(path, ONE)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Keyring.load(path, {}) == Keyring((ONE,))


def test_a_file_that_exists_is_left_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "keys", ONE.text)
    with pytest.raises(KeyringError, match="exists; to add a key to it"):
        write_key(path, TWO)
    assert path.read_text() == ONE.text


def test_keygen_writes_a_file_that_keys_shows(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    made = run(keygen, str(path), "--json")
    assert made.exit_code == 0
    told = json.loads(made.stdout)
    shown = run(keys, str(path))
    assert shown.exit_code == 0
    assert shown.stdout.split() == [told["id"], "seals", "and", "opens", f"{path}:1"]
    again = run(keygen, str(path))
    assert again.exit_code == 1
    assert "exists" in again.stderr


def test_keygen_prints_a_key_alone_on_stdout_so_that_it_can_be_added_to_a_file(tmp_path: Path) -> None:
    made = run(keygen)
    assert made.exit_code == 0
    path = write(tmp_path / "keys", f"{ONE.text}\n{made.stdout}")
    ring = Keyring.load(path, {})
    assert ring is not None
    assert ring.keys[0] == ONE
    assert made.stderr == f"key {ring.keys[1].name}\n"


def test_keygen_json_holds_key_and_id() -> None:
    made = run(keygen, "--json")
    told = json.loads(made.stdout)
    assert Key.parse(told["key"], "here").name == told["id"]
    assert made.stderr == ""


def test_keys_tells_which_key_seals_and_never_shows_one(tmp_path: Path) -> None:
    path = write(tmp_path / "keys", f"{TWO.text}\n{ONE.text}\n")
    for arguments in ([], ["--json"]):
        shown = run(keys, *arguments, PRIOMON_KEY_FILE=str(path))
        assert shown.exit_code == 0
        assert ONE.text not in shown.output
    assert json.loads(shown.stdout) == {
        "keys": [
            {"id": TWO.name, "seals": True, "where": f"{path}:1"},
            {"id": ONE.name, "seals": False, "where": f"{path}:2"},
        ],
        "warning": None,
    }


@pytest.mark.usefixtures("read_only_mount")
def test_keys_passes_the_warning_on(tmp_path: Path) -> None:
    shown = run(keys, str(write(tmp_path / "keys", ONE.text, 0o444)))
    assert shown.exit_code == 0
    assert "Warning: " in shown.stderr
    assert "can be read by others" in shown.stderr


def test_keys_reads_the_environment() -> None:
    shown = run(keys, PRIOMON_KEY=ONE.text)
    assert shown.stdout.split() == [ONE.name, "seals", "and", "opens", "PRIOMON_KEY,", "key", "1"]


def test_keys_without_keys_says_what_to_do() -> None:
    shown = run(keys)
    assert shown.exit_code == 1
    assert "PRIOMON_KEY_FILE or PRIOMON_KEY or PRIOMON_KEYS" in shown.stderr
    assert len(shown.stderr.splitlines()) == 1


def test_a_bad_key_is_one_line_and_exit_code_1() -> None:
    shown = run(keys, PRIOMON_KEYS="c2hvcnQ=")
    assert shown.exit_code == 1
    assert shown.stderr == "Error: PRIOMON_KEYS, key 1: expected 32 bytes, found 5; keygen makes a key\n"
