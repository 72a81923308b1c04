# SPDX-License-Identifier: MIT
"""list, info, bind, unbind and config on a fabricated machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fabricated_sysfs import DISK, NIC, PORT, SOUND, Machine

from vfiocore import bus, errors, pci
from vfiocore.cli import main, sysfs


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path)
    monkeypatch.setenv("VFIOCORE_SYSFS", str(machine.sysfs))
    monkeypatch.setenv("VFIOCORE_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(sysfs, "DEV", str(machine.dev))
    monkeypatch.setenv("VFIOCORE_PROC", str(machine.proc))
    return machine


BIND, UNBIND = pci.bind, pci.unbind


class Kernel:
    """Stands for bind and unbind, which need a kernel behind sysfs."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.former: dict[str, str] = {}
        self.calls: list[tuple[Any, ...]] = []
        self.refuse = ""

    def bind(
        self,
        name: str,
        driver: str = "vfio-pci",
        uid: int = -1,
        gid: int = -1,
        *,
        force: bool = False,
        dry_run: bool = False,
    ) -> None:
        BIND(name, driver, uid, gid, force=force, dry_run=True)  # what is refused beforehand
        if dry_run:
            return
        self.calls.append(("bind", name, driver, uid, gid))
        if name == self.refuse:
            raise errors.NoDriver(19, f"{name}: vfc_pci_bind: no: try it", hint="try it")
        self.former[name] = pci.info(name).driver
        self.machine.bind(name, driver)

    def unbind(self, name: str, *, force: bool = False, dry_run: bool = False) -> None:
        UNBIND(name, force=force, dry_run=True)
        if dry_run:
            return
        self.calls.append(("unbind", name))
        if name == self.refuse:
            raise errors.DeviceBusy(16, f"{name}: vfc_pci_unbind: busy")
        self.machine.bind(name, self.former.pop(name, ""))


@pytest.fixture
def kernel(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel(machine)
    monkeypatch.setattr(pci, "bind", kernel.bind)
    monkeypatch.setattr(pci, "unbind", kernel.unbind)
    return kernel


def as_json(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


# --- list ---------------------------------------------------------------------------------------


def test_list(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.bind(DISK, "vfio-pci")
    machine.bind(NIC, "vfio-pci")
    assert main(["list"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "DEVICE        ID         DRIVER         GROUP  VFIO     CLASS",
        "0000:00:01.0  8086:3420  pcieport           8  -        PCI bridge",
        "0000:01:00.0  8086:10d3  vfio-pci           9  blocked  Ethernet controller",
        "0000:01:00.1  8086:2668  snd_hda_intel      9  -        HD audio device",
        "0000:02:00.0  1b36:0010  vfio-pci          10  ready    NVMe controller",
    ]


def test_list_states(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.device("0000:03:00.0", 0x1AF4, 0x1041, 0xFF0000, driver="virtio-pci")
    states = {entry["name"]: entry["state"] for entry in as_json(capsys, "list")}
    assert states == {
        PORT: "host",
        NIC: "host",
        SOUND: "host",
        DISK: "unbound",
        "0000:03:00.0": "no-iommu",
    }
    machine.bind(DISK, "vfio-pci")
    machine.write(machine.sysfs / "kernel/iommu_groups/10/name", "vfio-noiommu")
    states = {entry["name"]: entry["state"] for entry in as_json(capsys, "list")}
    assert states[DISK] == "unsafe"


def test_a_device_without_an_iommu_is_to_be_named(
    machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.bind(DISK, "vfio-pci")
    machine.write(machine.sysfs / "kernel/iommu_groups/10/name", "vfio-noiommu")
    cures = [obstacle["cure"] for obstacle in as_json(capsys, "info", DISK)["obstacles"]]
    assert "VFIOCORE_TRANSPORT=noiommu" in cures[0]
    monkeypatch.setenv("VFIOCORE_TRANSPORT", "noiommu-group")
    problems = [obstacle["problem"] for obstacle in as_json(capsys, "info", DISK)["obstacles"]]
    assert not any("IOMMU" in problem for problem in problems)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["-d", "8086:10d3"], [NIC]),
        (["-d", "8086:"], [PORT, NIC, SOUND]),
        (["-d", ":0010"], [DISK]),
        (["--driver", "e1000e"], [NIC]),
        (["--driver", "e1000e", "-d", ":2668"], []),
    ],
)
def test_list_filters(
    options: list[str], names: list[str], machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [entry["name"] for entry in as_json(capsys, "list", *options)] == names


def test_list_that_matches_nothing(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--driver", "nvme"]) == 0
    assert capsys.readouterr() == ("", "vfio: no such PCI device\n")
    assert main(["list", "-d", "8086"]) == 2


def test_list_of_other_buses(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.mediated("83b8f4f2-509f-382f-3c1e-e6bfe0fa1001", group=11)
    assert main(["list"]) == 0
    row = capsys.readouterr().out.splitlines()[-1]
    expected = ["83b8f4f2-509f-382f-3c1e-e6bfe0fa1001", "mdev", "mtty", "11", "ready"]
    assert row.split() == expected
    (entry,) = as_json(capsys, "list", "--driver", "mtty")
    assert set(entry) == {*bus.BusInfo._fields, "state"}
    assert as_json(capsys, "list", "-d", "1:") == []
    about = as_json(capsys, "info", expected[0])
    assert (about["bus"], about["openable"], about["opened"]) == ("mdev", False, None)
    assert main(["info", expected[0]]) == 0
    assert "on the bus mdev" in capsys.readouterr().out
    assert main(["info", "83b8f4f2"]) == 2
    assert "Nor has any other bus" in capsys.readouterr().err


def test_list_json_has_stable_keys(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    entry = as_json(capsys, "list", "-d", "8086:10d3")[0]
    assert set(entry) == {*pci.PciInfo._fields, "bus", "class_name", "state"}


# --- info ---------------------------------------------------------------------------------------


def test_info_says_why_it_cannot_be_opened(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", "01:00.0"]) == 0
    output = capsys.readouterr().out
    assert output.startswith("0000:01:00.0  Ethernet controller 8086:10d3\n")
    for line in (
        "  can be opened  no\n",
        "it is bound to e1000e\n",
        "  cure: sudo vfio bind 0000:01:00.0\n",
        "0000:01:00.1 of group 9 is bound to snd_hda_intel\n",
        "  bar0  0xfe000000  128 KiB  memory, 64 bits\n",
        "regions and capabilities not shown: it is bound to e1000e\n",
    ):
        assert line in output


def test_info_json(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    document = as_json(capsys, "info", DISK)
    assert document["openable"] is False
    assert document["obstacles"] == [
        {"problem": "it is bound to no driver", "cure": f"sudo vfio bind {DISK}"}
    ]
    assert document["reset_methods"] == ["flr", "bus"]
    assert document["group_members"] == [{"name": DISK, "driver": ""}]
    assert (document["opened"], document["not_opened"]) == (None, "it is bound to no driver")


def test_info_of_a_device_that_nothing_stops(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.bind(DISK, "vfio-pci")
    document = as_json(capsys, "info", DISK, "--no-open")
    assert document["openable"] is True
    assert document["nodes"] == [str(machine.dev / "vfio/10")]
    assert document["not_opened"] == "--no-open was given"


def test_info_knows_that_bridges_do_not_block_a_group(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.device("0000:00:02.0", 0x8086, 0x3420, 0x060400, driver="pcieport", group=10)
    machine.bind(DISK, "vfio-pci")
    assert as_json(capsys, "info", DISK, "--no-open")["obstacles"] == []


def test_info_without_a_node(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.bind(DISK, "vfio-pci")
    (machine.dev / "vfio/10").unlink()
    (obstacle,) = as_json(capsys, "info", DISK)["obstacles"]
    assert obstacle["problem"].endswith("vfio/10 does not exist")


def test_a_node_that_device_rules_forbid(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """To hand over a node that is ours already would not help."""
    machine.bind(DISK, "vfio-pci")
    node = machine.dev / "vfio/10"
    monkeypatch.setattr("os.access", lambda path, mode: str(path) != str(node))
    (obstacle,) = as_json(capsys, "info", DISK)["obstacles"]
    assert "the device rules of the container" in obstacle["problem"]
    assert f"--device {node}" in obstacle["cure"]
    monkeypatch.setattr("os.geteuid", lambda: node.stat().st_uid + 1)
    monkeypatch.setattr("os.getegid", lambda: node.stat().st_gid + 1)
    monkeypatch.setattr("os.getgroups", list)
    for mode, forbidden in ((0o660, False), (0o666, True), (0o604, False)):
        node.chmod(mode)
        (obstacle,) = as_json(capsys, "info", DISK)["obstacles"]
        assert ("the device rules of the container" in obstacle["problem"]) == forbidden
        assert ("--user" in obstacle["cure"]) != forbidden
    monkeypatch.setattr("os.getgroups", lambda: [node.stat().st_gid])
    node.chmod(0o660)
    assert sysfs.mode_allows(node)
    node.chmod(0o646)
    assert not sysfs.mode_allows(node)


def test_info_of_no_device(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "0f:00.0"]) == 1
    first, hint = capsys.readouterr().err.splitlines()
    assert first == "vfio: 0000:0f:00.0: vfc_pci_info: No such device"
    assert hint.startswith("vfio: hint: no such PCI device")


# --- bind and unbind ----------------------------------------------------------------------------


def test_bind_reports_what_changed(kernel: Kernel, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bind", "01:00.0", "--user", "1234:1235"]) == 0
    assert kernel.calls == [("bind", NIC, "vfio-pci", 1234, 1235)]
    first, blocked = capsys.readouterr().out.splitlines()
    node = kernel.machine.dev / "vfio/9"
    assert first == f"0000:01:00.0: e1000e -> vfio-pci, group 9, {node}"
    assert "blocked by 0000:01:00.1, bound to snd_hda_intel: vfio bind 0000:01:00.1" in blocked


def test_bind_the_whole_group(kernel: Kernel, capsys: pytest.CaptureFixture[str]) -> None:
    document = as_json(capsys, "bind", NIC, "--group-members")
    assert [result["name"] for result in document["devices"]] == [NIC, SOUND]
    assert all(result["changed"] for result in document["devices"])
    assert all(result["blocked_by"] == [] for result in document["devices"])


def test_bind_is_all_or_nothing(kernel: Kernel, capsys: pytest.CaptureFixture[str]) -> None:
    kernel.refuse = SOUND
    assert main(["bind", NIC, SOUND]) == 1
    assert capsys.readouterr().err.endswith("no\nvfio: hint: try it\n")
    assert pci.info(NIC).driver == "e1000e"


def test_owners_are_all_or_nothing(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a device that was bound already, the node has its owner again."""
    given: list[tuple[str, int, int]] = []
    monkeypatch.setattr("os.chown", lambda node, uid, gid: given.append((str(node), uid, gid)))
    kernel.machine.bind(DISK, "vfio-pci")
    kernel.refuse = NIC
    assert main(["bind", DISK, NIC, "--user", "1234"]) == 1
    node = kernel.machine.dev / "vfio/10"
    assert given == [(str(node), node.stat().st_uid, node.stat().st_gid)]
    assert pci.info(DISK).driver == "vfio-pci"


def test_undoing_goes_on_after_a_failure(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def bind(name: str, **options: Any) -> None:
        kernel.bind(name, **options)
        if not options.get("dry_run") and name == DISK:
            kernel.refuse = SOUND
            raise KeyboardInterrupt  # between the bind and whatever would note it

    monkeypatch.setattr(pci, "bind", bind)
    assert main(["bind", NIC, SOUND, DISK]) == 130
    assert f"{SOUND}: vfc_pci_unbind: busy" in capsys.readouterr().err
    drivers = [pci.info(name).driver for name in (NIC, SOUND, DISK)]
    assert drivers == ["e1000e", "vfio-pci", ""]


def test_bind_refuses_a_device_in_use(kernel: Kernel, capsys: pytest.CaptureFixture[str]) -> None:
    kernel.machine.use(NIC)
    for words in (["bind", NIC], ["bind", DISK, NIC, "--dry-run"]):
        assert main(words) == 1
        captured = capsys.readouterr()
        assert "the host uses it: the default route goes through it, by eth0" in captured.err
        assert captured.out == ""
    assert kernel.calls == []
    assert main(["bind", NIC, "--force", "--dry-run"]) == 0
    assert kernel.calls == []
    assert main(["bind", NIC, "--force"]) == 0
    assert pci.info(NIC).driver == "vfio-pci"


@pytest.mark.parametrize("driver", ["", ".", "..", "a/b", "x" * 200])
def test_bind_to_what_is_no_name(
    kernel: Kernel, driver: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bind", NIC, "--driver", driver]) == 1
    assert "is no driver's name" in capsys.readouterr().err
    assert kernel.calls == []


def test_bind_to_a_module(kernel: Kernel, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bind", NIC, "--driver", "vfio_pci"]) == 1
    assert "there is no driver vfio_pci; vfio-pci is loaded" in capsys.readouterr().err
    assert main(["bind", NIC, "--driver", "mlx5-vfio"]) == 1
    assert "the driver mlx5-vfio is not loaded: modprobe mlx5-vfio" in capsys.readouterr().err


def test_bind_of_a_bridge(kernel: Kernel, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bind", PORT]) == 1
    assert "it is a bridge, and VFIO drives none" in capsys.readouterr().err
    assert kernel.calls == []


def test_bind_dry_run(kernel: Kernel, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bind", NIC, "--user", "1234", "--dry-run"]) == 0
    root = kernel.machine.sysfs
    assert capsys.readouterr().out.splitlines() == [
        f"{NIC}: would run",
        f"  echo vfio-pci > {root}/bus/pci/devices/{NIC}/driver_override",
        f"  echo {NIC} > {root}/bus/pci/devices/{NIC}/driver/unbind",
        f"  echo {NIC} > {root}/bus/pci/drivers_probe",
        f"  chown 1234 {kernel.machine.dev}/vfio/9",
    ]
    assert kernel.calls == []


def test_bind_what_is_bound_already(kernel: Kernel, capsys: pytest.CaptureFixture[str]) -> None:
    kernel.machine.bind(DISK, "vfio-pci")
    assert main(["bind", DISK, "--dry-run"]) == 0
    assert capsys.readouterr().out == f"{DISK}: nothing to do, bound to vfio-pci\n"
    assert main(["bind", DISK]) == 0
    assert capsys.readouterr().out.startswith(f"{DISK}: vfio-pci, as before, group 10, ")


def test_bind_for_an_unknown_user(kernel: Kernel, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bind", NIC, "--user", "no-such-user-here"]) == 2
    assert "no such user or group" in capsys.readouterr().err


def test_unbind(kernel: Kernel, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bind", NIC, DISK]) == 0
    capsys.readouterr()
    assert main(["unbind", NIC, DISK]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{NIC}: vfio-pci -> e1000e",
        f"{DISK}: vfio-pci -> no driver",
    ]


def test_unbind_goes_on_after_a_failure(kernel: Kernel, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bind", NIC, DISK]) == 0
    kernel.refuse = NIC
    capsys.readouterr()
    assert main(["unbind", NIC, DISK]) == 1
    assert pci.info(DISK).driver == ""
    captured = capsys.readouterr()
    assert captured.err == f"vfio: {NIC}: vfc_pci_unbind: busy\n"
    assert captured.out == f"{DISK}: vfio-pci -> no driver\n"


def test_unbind_refuses_a_host_drivers_device(
    kernel: Kernel, capsys: pytest.CaptureFixture[str]
) -> None:
    """In use or not; and a dry run says so, too."""
    for words in (["unbind", NIC], ["unbind", NIC, "--dry-run"]):
        assert main(words) == 1
        captured = capsys.readouterr()
        assert "the host's driver e1000e has it, and there is no bind" in captured.err
        assert captured.out == ""
    kernel.machine.use(NIC)
    assert main(["unbind", NIC]) == 1
    assert "the host uses it: the default route" in capsys.readouterr().err
    assert kernel.calls == []
    assert pci.info(NIC).driver == "e1000e"
    assert main(["unbind", NIC, "--force"]) == 0
    assert kernel.calls == [("unbind", NIC)]


def test_unbind_dry_run_of_several(kernel: Kernel, capsys: pytest.CaptureFixture[str]) -> None:
    kernel.machine.bind(DISK, "vfio-pci")
    assert main(["unbind", NIC, DISK, "--dry-run", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert list(document["steps"]) == [DISK]
    assert "there is no bind to be undone" in document["refused"][NIC]
    assert kernel.calls == []


def test_unbind_dry_run_knows_the_former_driver(
    kernel: Kernel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel.machine.bind(NIC, "vfio-pci")
    kernel.machine.write(tmp_path / "state" / NIC, "e1000e")
    steps = as_json(capsys, "unbind", NIC, "--dry-run")["steps"][NIC]
    assert steps[-1].endswith("drivers_probe   # expected: e1000e")
    assert kernel.calls == []


# --- config through sysfs -----------------------------------------------------------------------


def test_config_through_sysfs(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", NIC, "-x"]) == 0
    output = capsys.readouterr().out
    for line in (
        "0000:01:00.0  Ethernet controller, 4096 bytes via sysfs\n",
        "  004  command           0406              memory, master, intx_disable\n",
        "  010  bar0              00000000fe000004  type 64 bits, address 0xfe000000, 128 KiB\n",
        "050  MSI-X\n",
        "  052  control   0000      vectors 1\n",
        "100  Advanced Error Reporting (version 1)\n",
        "140  Device Serial Number (version 1)\n",
        "  000: 86 80 d3 10 06 04 10 00  01 00 00 02 00 00 00 00\n",
    ):
        assert line in output
    assert "bar1" not in output  # the upper half
    assert "no serr" not in output
    assert main(["config", NIC, "--all"]) == 0
    assert "no serr" in capsys.readouterr().out


def test_config_of_a_bridge(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    document = as_json(capsys, "config", PORT)
    assert document["source"] == "sysfs"
    assert {"primary_bus", "bridge_control"} <= set(document["header"])
    assert [cap["offset"] for cap in document["capabilities"]] == [0x40, 0x50, 0x100, 0x140]
    control = document["capabilities"][1]["registers"]["control"]
    assert control["fields"]["vectors"] == {"raw": 0, "text": "1"}
    assert main(["config", PORT]) == 0
    assert "forwards 0x0 to 0xfffff" in capsys.readouterr().out


def test_config_for_those_who_are_not_root(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    file = machine.path(NIC) / "config"
    file.write_bytes(file.read_bytes()[:64])
    assert main(["config", NIC]) == 0
    assert "only root sees more than 64 bytes" in capsys.readouterr().out
    assert as_json(capsys, "config", NIC)["header_only"]
    file.write_bytes(file.read_bytes()[:63])
    assert main(["config", NIC]) == 1
    assert "has only 63 bytes of config space" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("at", "value", "what"),
    [
        (0x51, 0x40, "loops: offset 0x50 points at 0x40"),
        (0x34, 0x10, "leaves its space: offset 0x34 points at 0x10"),
        (0x142, 0x10, "is not aligned: offset 0x140 points at 0x101"),
    ],
)
def test_config_with_a_list_that_is_malformed(
    at: int, value: int, what: str, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    file = machine.path(NIC) / "config"
    space = bytearray(file.read_bytes())
    space[at] = value
    if at == 0x142:
        space[at + 1] = 0x10
    file.write_bytes(space)
    assert main(["config", NIC]) == 1
    assert f"the capability list {what}" in capsys.readouterr().err
