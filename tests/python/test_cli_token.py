# SPDX-License-Identifier: MIT
"""--vf-token: every verb that opens a device hands it on."""

from __future__ import annotations

import uuid
from typing import Any, NoReturn

import pytest

import vfiocore
from vfiocore.cli import main, opening

FAKE = "fake:e1000e"
TOKEN = uuid.UUID("2ab74924-c335-45f4-9b16-8569e5b08258")

ONE = [
    ("info", FAKE),
    ("config", FAKE),
    ("read", FAKE, "bar0", "8"),
    ("write", FAKE, "bar0", "8", "0"),
    ("dump", FAKE, "config"),
    ("reset", FAKE),
    ("reset", FAKE, "--hot"),
    ("events", FAKE, "--watch", "-t", "0"),
    ("net", "dhcp", FAKE),
    ("net", "ping", FAKE, "10.0.2.2"),
    ("net", "send", FAKE, "--hex", "00" * 60),
    ("net", "dump", FAKE),
    ("net", "forward", FAKE, FAKE),
]


class Opened(Exception):
    pass


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """How devices were opened, which ends the verb."""
    calls: list[dict[str, Any]] = []

    def record(name: str, **options: Any) -> NoReturn:
        calls.append({"name": name, **options})
        raise Opened

    monkeypatch.setattr(vfiocore, "open", record)
    return calls


@pytest.mark.parametrize("words", ONE, ids=" ".join)
def test_it_is_handed_on(words: tuple[str, ...], opened: list[dict[str, Any]]) -> None:
    for given, token in (((), None), (("--vf-token", str(TOKEN)), TOKEN)):
        opened.clear()
        with pytest.raises(Opened):
            main([*words, *given])
        assert [call["vf_token"] for call in opened] == [token]


def test_it_opens_the_fake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["read", FAKE, "config", "0", "-w", "16", "--vf-token", str(TOKEN)]) == 0
    assert capsys.readouterr().out == "0x8086\n"


@pytest.mark.parametrize("text", ["", "x", str(TOKEN)[:-1]])
def test_what_is_none(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", FAKE, "--vf-token", text]) == 2
    assert "is no UUID" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("about", "guarded"), [("physfn", True), ("sriov_total", True), ("", False)]
)
def test_of_several_those_get_it_that_it_guards(
    about: str, guarded: bool, opened: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Info:
        physfn = "0000:01:00.0" if about == "physfn" else ""
        sriov_total = 8 if about == "sriov_total" else 0

    monkeypatch.setattr("vfiocore.pci.info", lambda name: Info)
    arguments = opening.argparse.Namespace(vf_token=TOKEN)
    with pytest.raises(Opened):
        opening.open_each(arguments, "0000:02:00.0")
    assert opened[0]["vf_token"] == (TOKEN if guarded else None)
