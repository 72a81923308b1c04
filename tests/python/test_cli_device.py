# SPDX-License-Identifier: MIT
"""info, config, read, write and reset on the fake device."""

from __future__ import annotations

import json
from typing import Any

import pytest

import vfiocore
from vfiocore.cli import main
from vfiocore.irq import IrqFlag

FAKE = "fake:e1000e"


def as_json(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def text_of(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main([*words]) == 0
    return capsys.readouterr().out


def test_info(capsys: pytest.CaptureFixture[str]) -> None:
    inside = as_json(capsys, "info", FAKE)["opened"]
    assert (inside["transport"], inside["vendor"], inside["device"]) == ("fake", 0x8086, 0x10D3)
    regions = {region["name"]: region for region in inside["regions"]}
    assert regions["bar0"]["length"] == 128 << 10
    assert regions["bar0"]["mappable"]
    assert not regions["config"]["mappable"]
    assert {"MSI-X", "PCI Express"} <= {cap["name"] for cap in inside["capabilities"]}
    assert {kind["name"] for kind in inside["interrupts"]} == {"intx", "msi", "msix", "err", "req"}


def test_info_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    text = text_of(capsys, "info", FAKE)
    assert text.startswith(f"{FAKE}\n\nregions  by the transport fake\n")
    assert "  bar0        0  128 KiB  rw      yes\n" in text


def test_info_of_a_device_without_an_error_interrupt(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    none = vfiocore.IrqInfo(3, IrqFlag(0), 0, "err")
    monkeypatch.setattr("vfiocore.device.Device.irq_types", (none,))
    inside = as_json(capsys, "info", FAKE)["opened"]
    assert inside["interrupts"] == [{"name": "err", "vectors": 0}]


def test_info_without_opening(capsys: pytest.CaptureFixture[str]) -> None:
    assert as_json(capsys, "info", FAKE, "--no-open")["opened"] is None


def test_config(capsys: pytest.CaptureFixture[str]) -> None:
    document = as_json(capsys, "config", FAKE, "-x")
    assert document["source"] == "VFIO (fake)"
    assert document["header"]["vendor"] == 0x8086
    assert len(bytes.fromhex(document["bytes"])) == document["length"] == 4096
    assert "bytes" not in as_json(capsys, "config", FAKE)


def test_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert text_of(capsys, "read", FAKE, "config", "0") == "0x10d38086\n"
    assert text_of(capsys, "read", FAKE, "config", "2", "-w", "16") == "0x10d3\n"
    assert text_of(capsys, "read", FAKE, "7", "0b1", "-w", "8") == "0x80\n"


def test_read_several(capsys: pytest.CaptureFixture[str]) -> None:
    rows = text_of(capsys, "read", FAKE, "config", "0", "-n", "6").splitlines()
    assert [len(row.split()) for row in rows] == [5, 3]
    assert rows[0].startswith("000: 10d38086 ")
    assert rows[1].startswith("010: ")
    document = as_json(capsys, "read", FAKE, "config", "0", "-w", "16", "-n", "2")
    assert document == {
        "name": FAKE,
        "region": "config",
        "offset": 0,
        "width": 16,
        "values": [0x8086, 0x10D3],
    }


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["bar0", "0x2"], "not a multiple"),
        (["bar0", "0x20000"], "0x20000"),
        (["bar0", "0", "-n", "0x10000"], "past the end of bar0, which has 0x20000 bytes"),
        (["bar4", "0"], "vfio: "),
        (["99", "0"], "vfio: "),
    ],
)
def test_read_that_fails(words: list[str], what: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["read", FAKE, *words]) == 1
    assert what in capsys.readouterr().err


def test_write(capsys: pytest.CaptureFixture[str]) -> None:
    line = ["write", FAKE, "bar0", "0x38", "0x8100"]
    assert text_of(capsys, *line) == ""
    assert text_of(capsys, *line, "--read-back") == "0x00008100\n"
    assert as_json(capsys, *line, "-r")["read_back"] == 0x8100


def test_write_dry_run_opens_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    text = text_of(capsys, "write", "0f:00.0", "bar0", "4", "255", "-w", "8", "--dry-run")
    assert text == "would write 0xff (8 bits) to bar0 + 0x4 of 0000:0f:00.0\n"
    assert as_json(capsys, "write", FAKE, "0", "4", "1", "--dry-run")["dry_run"] is True


def test_reset(capsys: pytest.CaptureFixture[str]) -> None:
    assert text_of(capsys, "reset", FAKE) == f"{FAKE}: reset\n"
    assert "would be reset" in text_of(capsys, "reset", FAKE, "--dry-run")
    assert as_json(capsys, "reset", FAKE) == {"name": FAKE, "dry_run": False, "methods": []}


def test_hot_reset(capsys: pytest.CaptureFixture[str]) -> None:
    with vfiocore.open(FAKE) as device:
        group = device.hot_reset_info()[0].group
    assert text_of(capsys, "reset", "--hot", FAKE) == (
        f"{FAKE}: hot reset, with\n  0000:00:00.0  group {group}\n"
    )
    assert "would be hot reset" in text_of(capsys, "reset", "--hot", FAKE, "--dry-run")
    document = as_json(capsys, "reset", "--hot", FAKE)
    assert document["devices"][0]["name"] == "0000:00:00.0"
    assert document["devices"][0]["owned"] is True
