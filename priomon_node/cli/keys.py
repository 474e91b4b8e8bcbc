"""The verbs of keys: `keygen` makes one, `keys` shows which ones a node would use."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from priomon_core.errors import PriomonError


@click.command(
    epilog="""\b
Examples:
  python -m priomon_node keygen /etc/priomon/keys       # a new file, for its owner only
  python -m priomon_node keygen >> /etc/priomon/keys    # one more key, for rotation
  export PRIOMON_KEY=$(python -m priomon_node keygen)"""
)
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print {id, file} or, without FILE, {id, key}.")
def keygen(file: Path | None, as_json: bool) -> None:
    """Make a key for a cluster, into FILE or on standard output.

    A key is 32 random bytes as base64. Give the same one to every node; its id, which is no secret, tells keys apart.
    """
    from priomon_node.keys import Key, write_key

    key = Key.generate()
    if file is not None:
        try:
            write_key(file, key)
        except PriomonError as error:
            raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps({"id": key.name} | ({"key": key.text} if file is None else {"file": str(file)})))
        return
    if file is None:
        click.echo(key.text)
    click.echo(f"key {key.name}{f' in {file}' if file is not None else ''}", err=True)


@click.command(
    epilog="""\b
Examples:
  python -m priomon_node keys /etc/priomon/keys
  python -m priomon_node keys --json     # of the environment"""
)
@click.argument("file", type=click.Path(path_type=Path), required=False, envvar="PRIOMON_KEY_FILE")
@click.option("--json", "as_json", is_flag=True, help="Print {keys: [{id, seals, where}], warning}.")
def keys(file: Path | None, as_json: bool) -> None:
    """Show the keys in FILE, or in PRIOMON_KEY_FILE, PRIOMON_KEY or PRIOMON_KEYS, by id; never the keys themselves.

    The first key seals what this node sends, all of them open what it receives. To replace a key: add the new one last on every node, then
    move it first on every node, then remove the old one once no node lacks the new. An agent reads its keys when it starts.
    """
    from priomon_node.keys import VARIABLES, Keyring

    try:
        ring = Keyring.load(file, os.environ)
    except PriomonError as error:
        raise click.ClickException(str(error)) from error
    if ring is None:
        raise click.ClickException(f"no keys: name a file, or set PRIOMON_KEY_FILE or {' or '.join(VARIABLES)}; keygen makes a key")
    if as_json:
        rows = [{"id": key.name, "seals": key is ring.keys[0], "where": key.where} for key in ring.keys]
        click.echo(json.dumps({"keys": rows, "warning": ring.warning}))
        return
    for key in ring.keys:
        click.echo(f"{key.name}  {'seals and opens' if key is ring.keys[0] else 'opens':<15}  {key.where}")
    if ring.warning:
        click.echo(f"Warning: {ring.warning}", err=True)
