# SPDX-License-Identifier: MIT
"""Virtual functions on the real kernel: devices like any other, behind a token, and on their own.

The machine sriov has an nvme of QEMU 7.2, which loses its VFs when it is reset itself; the machine
igb has two that keep them, and VFs that do DMA when they are told to.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import igbvf
import pytest

import vfiocore
from vfiocore import pci, sriov
from vfiocore.cli import main
from vfiocore.lab.kmsg import KernelLog, faults
from vfiocore.lab.machines import Machine

pytestmark = pytest.mark.machine("sriov", "igb")
igb_only = pytest.mark.machine("igb")

TRANSPORTS = {"igb": ("group", "cdev")}.get(os.environ.get("VFIOCORE_LAB_MACHINE", ""), ("group",))
ENABLE_SRIOV = Path("/sys/module/vfio_pci/parameters/enable_sriov")
DEVICES = Path("/sys/bus/pci/devices")
STATUS = 0x8  # of an igb's VF; of an nvme's its version
THEIRS = 0x7F000000  # where only one of them has a mapping
VF_FAULT = r"DMAR: .*"
GPIE, GPIE_MSIX = 0x1514, 1 << 4
VTIVAR, VTEIMS, VTEICS = 0x1700, 0x1524, 0x1520


@pytest.fixture(params=TRANSPORTS)
def way(request: pytest.FixtureRequest) -> str:
    """A transport that knows of tokens."""
    return str(request.param)


@pytest.fixture
def name(lab_machine: Machine, bound: Callable[[str], str]) -> Iterator[str]:
    """A physical function that is bound to vfio-pci; it has no VFs before and after."""
    bdf = bound(lab_machine.devices[0].name)
    yield bdf
    sriov.disable(bdf)


@pytest.fixture
def token() -> uuid.UUID:
    return uuid.uuid4()


@pytest.fixture
def pf(name: str, way: str, token: uuid.UUID) -> Iterator[vfiocore.Device]:
    """The same, open, with a token set."""
    with vfiocore.open(name, transport=way) as device:
        sriov.set_token(device, token)
        yield device


@pytest.fixture
def vfs(pf: vfiocore.Device) -> list[str]:
    """Two virtual functions of it."""
    return sriov.enable(pf.name, 2)


Open = Callable[[str], vfiocore.Device]


@pytest.fixture
def open_vf(way: str, token: uuid.UUID) -> Iterator[Open]:
    """Open a virtual function, in an address space of its own."""
    opened: list[vfiocore.Device] = []

    def run(vf: str) -> vfiocore.Device:
        opened.append(vfiocore.open(vf, transport=way, vf_token=token))
        return opened[-1]

    yield run
    for device in opened:
        device.__exit__(None, None, None)


def test_they_are_devices(pf: vfiocore.Device, vfs: list[str], open_vf: Open) -> None:
    groups = {pci.info(vf).iommu_group for vf in vfs}
    assert len(groups | {pf.group}) == 3
    for bdf in vfs:
        info = pci.info(bdf)
        assert (info.physfn, info.driver) == (pf.name, "vfio-pci")
        vf = open_vf(bdf)
        assert vf.config.class_code == pf.config.class_code
        assert 17 in [capability.id for capability in vf.config.capabilities()]
        assert vf.irq_info("intx").count == 0
        with vf.irqs("msix", 1) as irqs:
            irqs[0].trigger()
            assert irqs[0].wait(60) == 1
        vf.reset()
        vf.bus_master = True
        assert vf.bus_master
        assert vf.bar(0).read32(STATUS) is not None


def test_they_are_gone_when_removed(pf: vfiocore.Device, vfs: list[str]) -> None:
    sriov.disable(pf.name)
    assert sriov.functions(pf.name) == []
    assert not any((DEVICES / vf).exists() for vf in vfs)


def test_none_is_removed_while_it_is_open(
    pf: vfiocore.Device, vfs: list[str], open_vf: Open
) -> None:
    vf = open_vf(vfs[1])
    with pytest.raises(vfiocore.DeviceBusy, match=rf"\(maybe here\): {vfs[1]};"):
        sriov.disable(pf.name)
    assert sriov.functions(pf.name) == vfs
    vf.close()
    sriov.disable(pf.name)


def test_their_number_is_fixed(pf: vfiocore.Device, vfs: list[str]) -> None:
    assert sriov.enable(pf.name, 2) == vfs
    with pytest.raises(vfiocore.DeviceBusy, match="2 virtual functions already"):
        sriov.enable(pf.name, 1)
    assert sriov.functions(pf.name) == vfs


@igb_only
def test_all_that_there_can_be(pf: vfiocore.Device) -> None:
    names = sriov.enable(pf.name, pci.info(pf.name).sriov_total)
    assert len(names) == 8
    assert {pci.info(vf).driver for vf in names} == {"vfio-pci"}
    with pytest.raises(vfiocore.OutOfRange, match="1 to 8"):
        sriov.enable(pf.name, 9)


def test_vfio_must_allow_it(name: str) -> None:
    ENABLE_SRIOV.write_text("N")
    try:
        with pytest.raises(vfiocore.Unsupported, match="enable_sriov=1"):
            sriov.enable(name, 1)
    finally:
        ENABLE_SRIOV.write_text("Y")
    assert sriov.functions(name) == []


def test_without_the_token(vfs: list[str], way: str) -> None:
    with pytest.raises(vfiocore.PermissionDenied, match="a token guards the virtual functions of"):
        vfiocore.open(vfs[0], transport=way)


def test_with_another_token(vfs: list[str], way: str) -> None:
    with pytest.raises(vfiocore.PermissionDenied, match="it is not the token that guards"):
        vfiocore.open(vfs[0], transport=way, vf_token=uuid.uuid4())


@pytest.mark.usefixtures("pf")
def test_the_command_is_given_it(
    vfs: list[str],
    way: str,
    token: uuid.UUID,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("VFIOCORE_TRANSPORT", way)
    words = ["read", vfs[0], "config", "0x34", "-w", "8"]
    assert main(words) == 1
    assert "a token guards the virtual functions" in capsys.readouterr().err
    assert main([*words, "--vf-token", str(token)]) == 0
    assert int(capsys.readouterr().out, 16)
    assert main(["reset", vfs[0], "--vf-token", str(token)]) == 0
    assert capsys.readouterr().out == f"{vfs[0]}: reset\n"


def test_a_run_command_is_given_it(
    pf: vfiocore.Device, vfs: list[str], way: str, token: uuid.UUID, bound: Callable[[str], str]
) -> None:
    """And a device beside it that no token guards."""
    command = [sys.executable, "-m", "vfiocore.cli", "run", "--transport", way, vfs[0]]
    refused = subprocess.run(
        [*command, "--", "true"], check=False, capture_output=True, text=True
    )
    assert "a token guards the virtual functions" in refused.stderr
    command += [bound("nic0"), "--vf-token", str(token)]
    subprocess.run([*command, "--", "true"], check=True)


def test_a_token_can_change(pf: vfiocore.Device, vfs: list[str], way: str, open_vf: Open) -> None:
    first, other = open_vf(vfs[0]), uuid.uuid4()
    sriov.set_token(pf, other)
    assert first.bar(0).read32(STATUS) is not None  # who is in stays in
    with pytest.raises(vfiocore.PermissionDenied):
        open_vf(vfs[1])
    vfiocore.open(vfs[1], transport=way, vf_token=other).close()


@igb_only
def test_the_pf_is_opened_with_it_while_they_are_open(
    pf: vfiocore.Device, vfs: list[str], way: str, token: uuid.UUID, open_vf: Open
) -> None:
    vf = open_vf(vfs[0])
    pf.close()
    with pytest.raises(vfiocore.PermissionDenied, match="give it as vf_token"):
        vfiocore.open(pf.name, transport=way)
    with pytest.raises(vfiocore.PermissionDenied, match="not the token"):
        vfiocore.open(pf.name, transport=way, vf_token=uuid.uuid4())
    vfiocore.open(pf.name, transport=way, vf_token=token).close()
    vf.close()
    vfiocore.open(pf.name, transport=way).close()


def test_the_pf_sets_it_when_it_is_opened(name: str, way: str, token: uuid.UUID) -> None:
    with vfiocore.open(name, transport=way, vf_token=token):
        (vf,) = sriov.enable(name, 1)
        vfiocore.open(vf, transport=way, vf_token=token).close()


def test_a_token_for_a_device_without(bound: Callable[[str], str], way: str) -> None:
    nic = bound("nic0")
    with pytest.raises(vfiocore.InvalidArgument, match="open it without"):
        vfiocore.open(nic, transport=way, vf_token=uuid.uuid4())
    with vfiocore.open(nic, transport=way) as device, pytest.raises(vfiocore.Unsupported):
        sriov.set_token(device, uuid.uuid4())


def test_by_the_command(name: str, token: uuid.UUID, way: str) -> None:
    assert main(["sriov", name, "--token", str(token), "--vfs", "1"]) == 0
    (vf,) = sriov.functions(name)
    vfiocore.open(vf, transport=way, vf_token=token).close()
    assert main(["sriov", name, "--vfs", "0"]) == 0
    assert not (DEVICES / vf).exists()


@pytest.fixture
def host_driver(lab_machine: Machine) -> Iterator[str]:
    """A physical function with the guest kernel's own driver, and that of virtual ones loaded."""
    bdf = lab_machine.device("igb1").bdf
    subprocess.run(["modprobe", "igbvf"], check=True)
    subprocess.run(["modprobe", "igb"], check=True)
    assert pci.info(bdf).driver == "igb"
    yield bdf
    sriov.disable(bdf)
    subprocess.run(["modprobe", "-r", "igb"], check=True)
    subprocess.run(["modprobe", "-r", "igbvf"], check=True)


@igb_only
@pytest.mark.parametrize("autoprobe", ["0", "1"])
def test_of_a_host_driver(host_driver: str, autoprobe: str, way: str) -> None:
    (DEVICES / host_driver / "sriov_drivers_autoprobe").write_text(autoprobe)
    first, _ = sriov.enable(host_driver, 2)
    assert pci.info(first).driver == "vfio-pci"
    with pytest.raises(vfiocore.InvalidArgument, match="is bound to igb and not to vfio-pci"):
        vfiocore.open(first, transport=way, vf_token=uuid.uuid4())
    with vfiocore.open(first, transport=way) as vf:  # the host's driver answers for its VFs
        assert vf.bar(0).read32(STATUS) is not None
        with pytest.raises(vfiocore.DeviceBusy):
            sriov.disable(host_driver)


def transmit(vf: vfiocore.Device) -> vfiocore.DmaBuffer:
    """A ring with one descriptor, of a frame behind it."""
    ring, frame = vf.iommu.alloc(4096), igbvf.frame()
    ring[2048 : 2048 + len(frame)] = frame
    ring[:16] = igbvf.descriptor(ring.iova + 2048, len(frame))
    return ring


@igb_only
def test_each_does_dma(pf: vfiocore.Device, vfs: list[str], open_vf: Open) -> None:
    igbvf.allow(pf)
    for bdf in vfs:
        vf = open_vf(bdf)
        with transmit(vf) as ring:
            assert not igbvf.is_done(ring)
            igbvf.Transmitter(vf, ring.iova).start()
            igbvf.finish(ring)
            vf.bus_master = False


@igb_only
@pytest.mark.kernel_log(allow=VF_FAULT)
def test_none_reaches_the_memory_of_another(
    pf: vfiocore.Device, vfs: list[str], open_vf: Open
) -> None:
    first, second = open_vf(vfs[0]), open_vf(vfs[1])
    log = KernelLog()
    igbvf.allow(pf)
    with second.iommu.alloc(4096, iova=THEIRS) as theirs:
        theirs[:16] = igbvf.descriptor(theirs.iova + 2048, 60)
        before = bytes(theirs)
        igbvf.Transmitter(first, theirs.iova).start()
        end, seen = time.monotonic() + 60, []
        while not seen:
            assert time.monotonic() < end, "no fault was reported"
            time.sleep(0.05)
            seen = faults(log.new())
        assert {(fault.bdf, fault.address) for fault in seen} == {(vfs[0], theirs.iova)}
        assert bytes(theirs) == before
        first.bus_master = False


@igb_only
def test_each_raises_its_interrupts(pf: vfiocore.Device, vfs: list[str], open_vf: Open) -> None:
    pf.bar(0).write32(GPIE, GPIE_MSIX)
    for bdf in vfs:
        vf = open_vf(bdf)
        with vf.irqs("msix", 3) as irqs:
            vf.bus_master = True
            vf.bar(0).write32(VTEIMS, 7)
            vf.bar(0).write32(VTEICS, 1 << 1)
            assert irqs.wait_any(60)[0] == 1


@igb_only
def test_a_reset_of_the_pf(pf: vfiocore.Device, vfs: list[str], open_vf: Open) -> None:
    vf = open_vf(vfs[0])
    pf.reset()
    assert sriov.functions(pf.name) == vfs
    assert vf.config.class_code == 0x020000
    igbvf.allow(pf)
    with transmit(vf) as ring:
        igbvf.Transmitter(vf, ring.iova).start()
        igbvf.finish(ring)
        vf.bus_master = False


@pytest.mark.machine("sriov")
@pytest.mark.lab_timeout(300)  # the kernel gives it a minute to come back
def test_a_vf_that_does_not_answer(name: str, token: uuid.UUID) -> None:
    (bdf,) = sriov.enable(name, 1)
    with (
        vfiocore.open(name, vf_token=token),  # resets it, and QEMU 7.2 then has no VF
        vfiocore.open(bdf, vf_token=token) as vf,
        pytest.raises(vfiocore.DeviceGone),
    ):
        vf.bar(0).read32(STATUS)


OWNER = """
import sys, time, vfiocore
from vfiocore import sriov
name, way, token = sys.argv[1:]
device = vfiocore.open(name, transport=way, vf_token=token)
print(*sriov.enable(name, 2), flush=True)
time.sleep(1000)
"""


@igb_only
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_they_outlive_the_owner_of_the_pf(
    name: str, way: str, token: uuid.UUID, open_vf: Open, how: signal.Signals
) -> None:
    command = [sys.executable, "-c", OWNER, name, way, str(token)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        first = owner.stdout.readline().split()[0]
        vf = open_vf(first)
        owner.send_signal(how)
    assert owner.returncode == -how
    assert vf.config.class_code == 0x020000
    with vfiocore.open(name, transport=way, vf_token=token) as pf, transmit(vf) as ring:
        igbvf.allow(pf)
        igbvf.Transmitter(vf, ring.iova).start()
        igbvf.finish(ring)
        vf.bus_master = False
