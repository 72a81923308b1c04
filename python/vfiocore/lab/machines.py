# SPDX-License-Identifier: MIT
"""The machines of the lab, as data: what stands at which address, behind which IOMMU.

Addresses and MAC addresses are fixed, so tests and documents may name them. Nothing is bound to
vfio-pci at boot, and no driver of the guest kernel holds a device, unless the machine loads that
driver and says ``bound``.
"""

from __future__ import annotations

from dataclasses import replace

from . import LabError
from .machine import INTEL_IOMMU, VFIO_MODULES, Device, Machine

__all__ = ["DEFAULT", "MACHINES", "Device", "Machine", "find"]

DEFAULT = "intel"

# Where the IOMMU remaps no interrupts VFIO must be told to trust the devices.
UNSAFE_INTERRUPTS = (
    "vfio_iommu_type1.allow_unsafe_interrupts=1",
    "iommufd.allow_unsafe_interrupts=1",
)


# x-speed=5: with a faster port the kernel waits for a link report that QEMU never sends, and a
# hot reset ends in ENOTTY.
def _port(ident: str, slot: int) -> tuple[str, str]:
    return ("-device", f"pcie-root-port,id={ident},chassis={slot},bus=pcie.0,addr={slot},x-speed=5")


# One wire: the user network (10.0.2.2 answers ARP, DHCP, ICMP, TCP) and every NIC.
def _hub(nics: int) -> tuple[str, ...]:
    options = ["-netdev", "user,id=slirp", "-netdev", "hubport,id=wire,hubid=0,netdev=slirp"]
    for number in range(nics):
        options += ["-netdev", f"hubport,id=wire{number},hubid=0"]
    return tuple(options)


_NIC0 = Device(
    "nic0",
    "0000:01:00.0",
    "e1000e,id=nic0,bus=port1,addr=0,netdev=wire0,mac=52:54:00:76:66:00",
    "e1000e, 52:54:00:76:66:00, on a hub with nic1 and the user network",
)
_NIC1 = Device(
    "nic1",
    "0000:02:00.0",
    "e1000e,id=nic1,bus=port2,addr=0,netdev=wire1,mac=52:54:00:76:66:01",
    "e1000e, 52:54:00:76:66:01, the same hub",
)
_EDU = Device(
    "edu",
    "0000:00:03.0",
    "edu,id=edu,bus=pcie.0,addr=3",
    "edu: INTx, one MSI, 28 address bits, no reset",
)
_EDU1 = Device(
    "edu1",
    "0000:00:05.0",
    "edu,id=edu1,bus=pcie.0,addr=5,dma_mask=0xffffffffffffffff",
    "edu with 64 address bits",
)
_TESTDEV = Device(
    "testdev",
    "0000:00:04.0",
    "pci-testdev,id=testdev,bus=pcie.0,addr=4,membar=2M",
    "pci-testdev: memory, I/O and 64-bit BARs, no interrupt",
)

_INTEL = Machine(
    name="intel",
    doc="Intel VT-d, 39-bit IOVAs; two e1000e joined on one hub with the user network; edu twice; "
    "pci-testdev",
    devices=(_NIC0, _NIC1, _EDU, _TESTDEV, _EDU1),
    # Said, because the default depends on QEMU's version.
    iommu_device=f"{INTEL_IOMMU},aw-bits=39",
    qemu=(*_port("port1", 1), *_port("port2", 2), *_hub(2)),
)

_NONE = replace(
    _INTEL,
    name="none",
    doc="the machine intel without its IOMMU: what VFIO says when there is none",
    iommu="none",
    iommu_device=None,
    cmdline=(),
)

_IOMMUFD = replace(
    _INTEL,
    name="iommufd",
    doc="the machine intel on the built kernel: /dev/iommu, /dev/vfio/devices; 48-bit IOVAs; huge "
    "pages",
    iommu_device=f"{INTEL_IOMMU},aw-bits=48",
    kernel="built",
    # A page of 1 GiB must lie on a multiple of it, clear of the initramfs at the memory's end. The
    # host gives the memory when it is touched.
    memory=2560,
    cmdline=("hugepagesz=1G", "hugepages=1", "hugepagesz=2M", "hugepages=32"),
)

_IOMMUFD39 = replace(
    _IOMMUFD,
    name="iommufd39",
    doc="the machine iommufd with 39-bit IOVAs: page tables of three levels",
    iommu_device=f"{INTEL_IOMMU},aw-bits=39",
)

_SCALABLE = replace(
    _IOMMUFD,
    name="scalable",
    doc="the machine iommufd with VT-d's scalable mode: tables by PASID; 48-bit IOVAs",
    iommu_device=f"{INTEL_IOMMU},aw-bits=48,scalable-mode=on",
)

_SCALABLE39 = replace(
    _SCALABLE,
    name="scalable39",
    doc="the machine scalable with 39-bit IOVAs",
    iommu_device=f"{INTEL_IOMMU},aw-bits=39,scalable-mode=on",
)

# Physical memory is where it is: edu must reach all of it.
_EDU_WIDE = replace(
    _EDU,
    qemu=f"{_EDU.qemu},dma_mask=0xffffffffff",
    doc="edu: INTx, one MSI, DMA with 40 address bits, no reset",
)

_NOIOMMU = replace(
    _NONE,
    name="noiommu",
    devices=(_NIC0, _NIC1, _EDU_WIDE, _TESTDEV),
    doc="the machine none on the built kernel, with VFIO's no-IOMMU mode allowed; pages of 2 MiB",
    kernel="built",
    cmdline=("vfio.enable_unsafe_noiommu_mode=1", "hugepagesz=2M", "hugepages=32"),
)

# Linux 7 misses the southbridge's IOAPIC in QEMU's tables and does not remap interrupts.
_AMD = replace(
    _INTEL,
    name="amd",
    doc="the machine intel with AMD-Vi in place of VT-d, on the built kernel; 48-bit IOVAs",
    iommu="amd",
    iommu_device="amd-iommu,intremap=on",
    # It comes with a PCI function, which takes the lowest free slot.
    iommu_first=False,
    kernel="built",
    cmdline=UNSAFE_INTERRUPTS,
)

# It remaps no interrupts. Linux 7.3 oopses in it when it powers off (viommu_remove()): by then the
# host has its answer and has ended QEMU.
_VIRTIO = replace(
    _AMD,
    name="virtio",
    doc="the machine intel with virtio-iommu in place of VT-d, on the built kernel; 64-bit IOVAs",
    iommu="virtio",
    iommu_device="virtio-iommu-pci,bus=pcie.0,addr=6",
)

_SHARED = Machine(
    name="shared",
    doc="Intel VT-d; rtl8139 and e1000 in one group behind a PCI bridge; e1000e alone",
    devices=(
        replace(_NIC0, doc="e1000e, 52:54:00:76:66:00, in a group of its own"),
        Device(
            "pair0",
            "0000:03:01.0",
            "rtl8139,id=pair0,bus=bridge,addr=1,netdev=wire1,mac=52:54:00:76:66:02",
            "rtl8139, shares its group with pair1",
        ),
        Device(
            "pair1",
            "0000:03:02.0",
            "e1000,id=pair1,bus=bridge,addr=2,netdev=wire2,mac=52:54:00:76:66:03",
            "e1000, shares its group with pair0",
        ),
    ),
    qemu=(
        *_port("port1", 1),
        *_port("port2", 2),
        *("-device", "pcie-pci-bridge,id=bridge,bus=port2,addr=0"),
        *_hub(3),
    ),
)

# What is written goes to a file of QEMU's without a name, so that it can be read again.
_DISK = (
    "if=none,id=disk,format=raw,snapshot=on,file.driver=null-co,file.size=64M,file.read-zeroes=on"
)

_WIDTH = Machine(
    name="width",
    doc="Intel VT-d; modern virtio-net, nvme and edu: devices that mind the width of an access",
    devices=(
        Device(
            "virtio",
            "0000:01:00.0",
            "virtio-net-pci,id=virtio,bus=port1,addr=0,netdev=wire0,mac=52:54:00:76:66:04,"
            "disable-legacy=on,disable-modern=off,iommu_platform=on,aer=on",
            "virtio-net 1.0 behind the IOMMU, reports AER, on a hub with the user network",
        ),
        Device(
            "nvme",
            "0000:02:00.0",
            "nvme,id=nvme,bus=port2,addr=0,drive=disk,serial=vfiocore",
            "nvme: 64-bit registers, 65 MSI-X vectors, function-level reset, a disk of 64 MiB",
        ),
        _EDU,
    ),
    qemu=(
        *_port("port1", 1),
        *_port("port2", 2),
        *_hub(1),
        *("-drive", _DISK),
    ),
)

# As many vectors as PCI allows; a guest's kernel has about 200 for each CPU.
_VIRTIO_2048 = replace(
    _WIDTH.devices[0],
    qemu=f"{_WIDTH.devices[0].qemu},vectors=2048",
    doc="virtio-net 1.0 as in width, with 2048 MSI-X vectors",
)

_WIDTH_BUILT = replace(
    _WIDTH,
    name="width-built",
    devices=(_VIRTIO_2048, *_WIDTH.devices[1:]),
    doc="the machine width on the built kernel, which adds MSI-X vectors while others are on",
    kernel="built",
)

_DISPLAY = Machine(
    name="display",
    doc="Intel VT-d; a VGA card, and devices with many kinds of capabilities: nvme with virtual "
    "functions, virtio-net with ATS, vmxnet3, xHCI, megasas, ivshmem, HD audio",
    devices=(
        Device(
            "vga",
            "0000:00:03.0",
            "VGA,id=vga,bus=pcie.0,addr=3",
            "VGA: the legacy ranges, a ROM, no reset",
        ),
        Device(
            "megasas",
            "0000:00:04.0",
            "megasas-gen2,id=megasas,bus=pcie.0,addr=4",
            "megasas-gen2: integrated endpoint of PCI Express, MSI, MSI-X, ports",
        ),
        Device(
            "ivshmem",
            "0000:00:05.0",
            "ivshmem-plain,id=ivshmem,bus=pcie.0,addr=5,memdev=shared",
            "ivshmem: a prefetchable BAR of 64 bits, no capability",
        ),
        Device(
            "audio",
            "0000:00:06.0",
            "intel-hda,id=audio,bus=pcie.0,addr=6",
            "HD audio: conventional PCI with an MSI of 64 bits",
        ),
        Device(
            "nvme",
            "0000:01:00.0",
            "nvme,id=nvme,bus=port1,addr=0,subsys=subsystem,serial=vfiocore,sriov_max_vfs=2,"
            "sriov_vq_flexible=4,sriov_vi_flexible=2,max_ioqpairs=6,msix_qsize=7",
            "nvme: SR-IOV, ARI",
        ),
        Device(
            "virtio",
            "0000:02:00.0",
            "virtio-net-pci,id=virtio,bus=port2,addr=0,netdev=wire0,mac=52:54:00:76:66:04,"
            "disable-legacy=on,disable-modern=off,iommu_platform=on,aer=on,ats=on",
            "virtio-net 1.0: ATS, AER, vendor-specific capabilities",
        ),
        Device(
            "vmxnet3",
            "0000:03:00.0",
            "vmxnet3,id=vmxnet3,bus=port3,addr=0,netdev=wire1,mac=52:54:00:76:66:05",
            "vmxnet3: MSI, MSI-X, a serial number",
        ),
        Device(
            "usb",
            "0000:04:00.0",
            "nec-usb-xhci,id=usb,bus=port4,addr=0,msi=on,msix=on",
            "xHCI: MSI with 16 vectors, MSI-X",
        ),
    ),
    qemu=(
        *_port("port1", 1),
        *_port("port2", 2),
        *_port("port3", 7),
        *_port("port4", 8),
        *_hub(2),
        *("-device", "nvme-subsys,id=subsystem,nqn=vfiocore"),
        *("-object", "memory-backend-ram,id=shared,size=1M,share=on"),
    ),
)

# vfio-pci must be told to let a physical function have virtual ones.
SRIOV_MODULES = (*VFIO_MODULES[:2], "vfio-pci enable_sriov=1")


def _igb(number: int) -> Device:
    mac = f"52:54:00:76:67:{number:02x}"
    return Device(
        f"igb{number}",
        f"0000:0{number + 1}:00.0",
        f"igb,id=igb{number},bus=port{number + 1},addr=0,netdev=wire{number},mac={mac}",
        f"igb, {mac}, 8 VFs, on a hub with the others and the user network",
    )


_IGB = replace(
    _IOMMUFD,
    name="igb",
    doc="Intel VT-d on the built kernel; two igb with SR-IOV, e1000e and virtio-net joined on one "
    "hub with the user network; QEMU 8.0 or newer, fetched if the system's is older",
    devices=(
        _igb(0),
        _igb(1),
        Device(
            "nic0",
            "0000:03:00.0",
            "e1000e,id=nic0,bus=port3,addr=0,netdev=wire2,mac=52:54:00:76:67:10",
            "e1000e, 52:54:00:76:67:10, the same hub",
        ),
        Device(
            "virtio",
            "0000:04:00.0",
            "virtio-net-pci,id=virtio,bus=port4,addr=0,netdev=wire3,mac=52:54:00:76:67:11,"
            "disable-legacy=on,disable-modern=off,iommu_platform=on,aer=on",
            "virtio-net 1.0 behind the IOMMU, 52:54:00:76:67:11, the same hub",
        ),
        Device(
            "packed",
            "0000:05:00.0",
            "virtio-net-pci,id=packed,bus=port5,addr=0,netdev=wire4,mac=52:54:00:76:67:12,"
            "disable-legacy=on,disable-modern=off,iommu_platform=on,packed=on",
            "virtio-net with packed rings, 52:54:00:76:67:12, the same hub",
        ),
        Device(
            "plain",
            "0000:06:00.0",
            "virtio-net-pci,id=plain,bus=port6,addr=0,netdev=wire5,mac=52:54:00:76:67:13,"
            "disable-legacy=on,disable-modern=off,iommu_platform=on,packed=on,event_idx=off,"
            "ctrl_vq=off,host_mtu=1200,speed=10000,duplex=full",
            "virtio-net with packed rings, without event indices and control queue, with an MTU of "
            "1200, 52:54:00:76:67:13, the same hub",
        ),
    ),
    modules=SRIOV_MODULES,
    qemu_version=(8, 0),
    qemu=(
        *_port("port1", 1),
        *_port("port2", 2),
        *_port("port3", 3),
        *_port("port4", 4),
        *_port("port5", 5),
        *_port("port6", 6),
        *_hub(6),
    ),
)

_MODERN = ",disable-legacy=on,disable-modern=off,iommu_platform=on"


def _wired(name: str, port: int, qemu: str) -> Device:
    """One of two NICs on a wire of their own: what one sends costs no third one anything."""
    mac = f"52:54:00:76:68:{port:02x}"
    more = _MODERN if qemu == "virtio-net-pci" else ""
    return Device(
        name,
        f"0000:0{port}:00.0",
        f"{qemu},id={name},bus=port{port},addr=0,netdev=end{port},mac={mac}{more}",
        f"{qemu}, {mac}, on wire {(port - 1) // 2}",
    )


def _wires(ports: int) -> tuple[str, ...]:
    options: list[str] = []
    for port in range(1, ports + 1):
        options += _port(f"port{port}", port)
        options += ["-netdev", f"hubport,id=end{port},hubid={(port - 1) // 2}"]
    return tuple(options)


_WIRES = replace(
    _IOMMUFD,
    name="wires",
    doc="Intel VT-d on the built kernel; two wires, with an e1000e and a virtio-net each",
    devices=(
        _wired("nic0", 1, "e1000e"),
        _wired("virtio0", 2, "virtio-net-pci"),
        _wired("nic1", 3, "e1000e"),
        _wired("virtio1", 4, "virtio-net-pci"),
    ),
    qemu=_wires(4),
)

# QEMU 7.2: a controller's VFs share its namespaces, so it stands in a subsystem; what queues and
# vectors they get is taken from the controller's.
_SRIOV = Machine(
    name="sriov",
    doc="Intel VT-d; nvme with SR-IOV, e1000e",
    devices=(
        Device(
            "nvme",
            "0000:01:00.0",
            "nvme,id=nvme,bus=port1,addr=0,subsys=subsystem,serial=vfiocore,sriov_max_vfs=2,"
            "max_ioqpairs=6,msix_qsize=7,sriov_vq_flexible=4,sriov_vi_flexible=2",
            "nvme: 2 VFs, 7 MSI-X vectors, function-level reset",
        ),
        replace(_NIC0, bdf="0000:02:00.0", qemu=_NIC0.qemu.replace("port1", "port2")),
    ),
    modules=SRIOV_MODULES,
    qemu=(
        *_port("port1", 1),
        *_port("port2", 2),
        *_hub(1),
        *("-device", "nvme-subsys,id=subsystem"),
    ),
)

# Programs whose memcpy() uses AVX slow TCG's devices down (docs/design.md, "Rings"). What builds on
# AVX goes too, or the kernel complains.
_WITHOUT_AVX = "max,avx=off,avx2=off,fma=off,f16c=off,vaes=off,vpclmulqdq=off"

_COMPARE = Machine(
    name="compare",
    doc="Intel VT-d, 48-bit IOVAs; two e1000e, two igb and two virtio-net, each pair on a hub of "
    "its own; huge pages; no AVX; QEMU 8.0 or newer",
    devices=(
        _wired("e1000e0", 1, "e1000e"),
        _wired("e1000e1", 2, "e1000e"),
        _wired("igb0", 3, "igb"),
        _wired("igb1", 4, "igb"),
        _wired("virtio0", 5, "virtio-net-pci"),
        _wired("virtio1", 6, "virtio-net-pci"),
    ),
    iommu_device=f"{INTEL_IOMMU},aw-bits=48",
    qemu_version=(8, 0),
    cpu=_WITHOUT_AVX,
    cmdline=("intel_iommu=on", "hugepagesz=2M", "hugepages=64"),
    qemu=_wires(6),
)

MACHINES: dict[str, Machine] = {
    m.name: m
    for m in (
        *(_INTEL, _NONE, _SHARED, _WIDTH, _WIDTH_BUILT, _DISPLAY),
        *(_IOMMUFD, _IOMMUFD39, _SCALABLE, _SCALABLE39, _AMD, _VIRTIO, _NOIOMMU, _IGB, _SRIOV),
        *(_WIRES, _COMPARE),
    )
}


def find(name: str) -> Machine:
    """The machine of that name, or a LabError that lists those there are."""
    try:
        return MACHINES[name]
    except KeyError:
        raise LabError(
            f"no machine is called {name!r}: choose one of {', '.join(MACHINES)} (vfio lab list)"
        ) from None
