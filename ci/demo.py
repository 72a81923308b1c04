# SPDX-License-Identifier: MIT
"""What ci/demo shows inside of the guest: a NIC driven from userspace, proven by its packets.

Machine "intel" of the lab: two e1000e and QEMU's user network on one hub, behind Intel VT-d.
Each step checks what it shows; the first that fails ends the demo and is named.
"""

from __future__ import annotations

import argparse
import json
import mmap
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import vfiocore
from vfiocore import cli, pci
from vfiocore.lab.kmsg import KernelLog, faults
from vfiocore.lab.machines import MACHINES

OURS = MACHINES["intel"].device("nic0").bdf
KERNELS = MACHINES["intel"].device("nic1").bdf
PAGE = mmap.PAGESIZE
FRAMES = 100_000
PINGS = 5

results: list[tuple[str, str]] = []


class DemoError(Exception):
    """A step did not show what it should."""


def check(condition: bool, what: str) -> None:
    if not condition:
        raise DemoError(what)


@contextmanager
def step(name: str) -> Iterator[Callable[[str], None]]:
    """Announce a step; what it reports becomes a row of the table."""
    print(f"\n\N{BLACK RIGHT-POINTING TRIANGLE} {name}", flush=True)
    start = time.monotonic()
    found: list[str] = []
    try:
        yield found.append
    except Exception as error:
        print(f'\ndemo: FAILED in step "{name}": {error}', file=sys.stderr, flush=True)
        raise SystemExit(1) from error
    results.append((name, f"{'; '.join(found)} [{time.monotonic() - start:.1f} s]"))


def vfio(*arguments: str) -> None:
    """Run the command `vfio` in this process: an interpreter's start is slow in emulation."""
    print(f"$ vfio {' '.join(arguments)}", flush=True)
    check(cli.main(list(arguments)) == 0, f"vfio {arguments[0]} failed")
    sys.stdout.flush()


def kernel_interface() -> str:
    """The network interface that the guest kernel's own e1000e driver made, up and quiet."""
    subprocess.run(["modprobe", "e1000e"], check=True)
    name = next(Path(f"/sys/bus/pci/devices/{KERNELS}/net").iterdir()).name
    # Nothing but our frames: no neighbour discovery by the kernel.
    Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
    subprocess.run(["ip", "link", "set", name, "up"], check=True)
    return name


def wait_for_carrier(interface: str) -> None:
    end = time.monotonic() + 20
    while Path(f"/sys/class/net/{interface}/carrier").read_text() != "1\n":
        check(time.monotonic() < end, f"{interface} sees no link")
        time.sleep(0.05)


def show_device() -> None:
    with step("device and IOMMU group") as report:
        vfio("bind", OURS)
        vfio("list")
        vfio("info", OURS)
        vfio("doctor", OURS)
        info = pci.info(OURS)
        report(
            f"{OURS} [{info.vendor:04x}:{info.device:04x}] group {info.iommu_group}, doctor green"
        )


def first_packets(capture: Path) -> None:
    with step("link, DHCP, ARP, ping by a Scapy script") as report:
        from vfiocore.cli.net.session import Capture, tap
        from vfiocore.net import dhcp, ping, resolve
        from vfiocore.scapy import VfioSocket

        with vfiocore.open(OURS) as device, device.nic() as nic, Capture(str(capture)) as file:
            link = nic.wait_link(5)
            print(f"link up: {link.speed} Mbit/s, {nic.mac}, transport {device.transport}")
            sock = tap(VfioSocket(nic=nic), file)
            lease = dhcp(sock, nic.mac)
            print(f"DHCP: {lease.address}/{lease.prefix} from {lease.server}, {lease.seconds} s")
            print(f"ARP: {lease.router} is at {resolve(sock, lease, lease.router)}")
            times = []
            for reply in ping(sock, lease, lease.router, count=PINGS, interval=0.1):
                lost = reply.rtt is None
                print(f"ping {reply.sequence}: {'lost' if lost else f'{reply.rtt * 1e3:.2f} ms'}")
                times += [] if lost else [reply.rtt]
        check(len(times) == PINGS, f"{len(times)} of {PINGS} pings were answered")
        report(f"lease {lease.address}, {PINGS}/{PINGS} pings, best {min(times) * 1e3:.2f} ms")


def both_ways(wire: str, interface: str) -> None:
    with step(f"{FRAMES:,} frames each way, against the kernel's own driver") as report:
        wait_for_carrier(interface)
        done = subprocess.run(
            [wire, OURS, interface, str(FRAMES)], stdout=subprocess.PIPE, check=False, text=True
        )
        check(done.returncode == 0, f"wire said: {done.stdout.strip() or done.returncode}")
        figures = json.loads(done.stdout)
        for way in ("tx", "rx"):
            one = figures[way]
            check(one["sent"] == one["received"] == FRAMES, f"{way}: {one}")
            check(not one["lost"] + one["reordered"] + one["damaged"], f"{way}: {one}")
            report(f"{way} {one['received'] / one['seconds']:,.0f} frames/s")
        check(
            figures["kernel"] == {"rx_packets": FRAMES, "tx_packets": FRAMES},
            f"the kernel counted {figures['kernel']}",
        )
        report("0 lost, reordered or damaged; the kernel's counts are equal")


# 82574L registers, datasheet section 10.2: the demo speaks to the device itself here, because a
# driver would never give it a wrong address.
CTRL, RCTL, TCTL = 0x00000, 0x00100, 0x00400
RDBAL, RDT, TDBAL, TDT = 0x02800, 0x02818, 0x03800, 0x03818
CTRL_RST, CTRL_SLU, RCTL_EN, RCTL_UPE, RCTL_BAM, TCTL_EN = 1 << 26, 1 << 6, 2, 8, 1 << 15, 2


def stray_descriptors(bar: vfiocore.Region, ring: vfiocore.DmaBuffer, stray: int) -> None:
    """One receive and one transmit descriptor that point at an address nobody mapped."""
    bar.write32(CTRL, CTRL_RST)
    time.sleep(0.01)
    bar.write32(CTRL, bar.read32(CTRL) | CTRL_SLU)
    for base, offset in ((RDBAL, 0), (TDBAL, 2048)):
        bar.write32(base, (ring.iova + offset) & 0xFFFFFFFF)
        bar.write32(base + 4, (ring.iova + offset) >> 32)
        bar.write32(base + 8, 128)
        bar.write32(base + 0x10, 0)  # the head: not every reset clears it
    view = ring.view()
    struct.pack_into("<QQ", view, 0, stray, 0)
    # 64 bytes; end of packet, insert FCS, report status (section 7.2.3, legacy descriptor)
    struct.pack_into("<QQ", view, 2048, stray, 64 | 0x0B << 24)
    view.release()
    bar.write32(RCTL, RCTL_EN | RCTL_UPE | RCTL_BAM)
    bar.write32(TCTL, TCTL_EN)
    bar.write32(RDT, 1)
    bar.write32(TDT, 1)


def send_from_kernel(interface: str) -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((interface, 0))
        for _ in range(5):
            raw.send(b"\xff" * 6 + b"\x02" * 6 + b"\x88\xb5" + b"stray" * 20)
            time.sleep(0.05)


def reported(log: KernelLog, bdf: str, stray: int) -> list[str]:
    """What the IOMMU reported of this device and address."""
    return [text for text in log.new() if (bdf, stray) in faults([text])]


def isolation(interface: str) -> None:
    with step("isolation: a descriptor that points at an unmapped IOVA") as report:
        log = KernelLog()
        with vfiocore.open(OURS) as device:
            device.bus_master = True
            ring = device.iommu.alloc(PAGE)
            memory = mmap.mmap(-1, 3 * PAGE)
            memory[:] = b"\xa5" * len(memory)
            # Three pages in a row; the one in the middle is taken away from the device.
            with device.iommu.map(memory) as all_three:
                first, length = all_three.iova, len(memory)
                address = device.iommu.find_iova(first).address
            below = device.iommu.map_address(address, PAGE, iova=first)
            above = device.iommu.map_address(address + 2 * PAGE, PAGE, iova=first + 2 * PAGE)
            stray = first + PAGE
            stray_descriptors(device.bar(0), ring, stray)
            send_from_kernel(interface)
            seen = reported(log, OURS, stray)
            for text in seen[:2]:
                print(f"kernel: {text}")
            check(bool(seen), f"the IOMMU reported no fault of {OURS} at 0x{stray:x}")
            check(memory[:] == b"\xa5" * length, "memory beside the stray address was changed")
            device.bar(0).write32(CTRL, CTRL_RST)
            device.iommu.unmap(below, PAGE)
            device.iommu.unmap(above, PAGE)
            ring.close()
            device.reset()
        report(f"{len(seen)} faults of {OURS} at 0x{stray:x} reported; neighbours untouched")


def again(wire: str, interface: str) -> None:
    with step("after the reset: traffic again") as report:
        done = subprocess.run(
            [wire, OURS, interface, "1000"], stdout=subprocess.PIPE, check=False, text=True
        )
        check(done.returncode == 0, f"wire said: {done.stdout.strip() or done.returncode}")
        report("1,000 frames each way, none lost")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the capture file")
    parser.add_argument("--wire", required=True, help="the program tests/lab/wire")
    options = parser.parse_args()
    capture = options.out / "demo.pcapng"
    start = time.monotonic()

    interface = kernel_interface()  # it takes seconds to see its link: meanwhile we go on
    show_device()
    first_packets(capture)
    both_ways(options.wire, interface)
    isolation(interface)
    again(options.wire, interface)

    width = max(len(name) for name, _ in results)
    print(f"\n{'Results':{width}}\n{'-' * width}")
    for name, found in results:
        print(f"{name:{width}}  ok  {found}")
    print(f"\ncapture file: {capture}\nguest time: {time.monotonic() - start:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
