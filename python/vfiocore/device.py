# SPDX-License-Identifier: MIT
"""An open VFIO device, whatever transport it came by."""

from __future__ import annotations

import os
from ctypes import byref, c_char_p, c_uint32, c_void_p, cast

from ._native.call import (
    check,
    encoded,
    error,
    fileno,
    leave,
    native,
    open_handle,
    unsigned,
    wait,
)
from ._native.enums import DeviceFlag, DeviceKind, IrqIndex, RegionIndex
from ._native.loader import lib
from ._native.structs import DeviceInfo, DeviceOpts
from ._regions import WithRegions
from ._reset import ResetDevice, Resettable
from ._token import token_bytes
from .errors import VfioError, invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket as Socket
    from types import TracebackType
    from uuid import UUID

    from ._native.call import Closing
    from .event import Events, Releaser
    from .iommu import Iommu
    from .irq import IrqInfo, IrqSet
    from .mapping import Mapping
    from .nic import Nic
    from .packets import Pool
    from .power import LowPower
    from .region import Region

__all__ = ["Device", "DeviceFlag", "DeviceKind", "ResetDevice"]

# Those that were not closed, in the order of opening. They are closed when the interpreter exits:
# a fake device's thread must not outlive the memory it plays with.
_open: list[Device] = []


def _close_leftovers(owner: int) -> None:
    if os.getpid() != owner:
        return  # a fork: the devices are the parent's
    from contextlib import suppress

    leave()
    for device in reversed(list(_open)):
        with suppress(Exception):  # nobody is left to be told
            device.__exit__(None, None, None)


def _remember(device: Device) -> None:
    if not _open:
        import atexit

        atexit.unregister(_close_leftovers)
        atexit.register(_close_leftovers, os.getpid())
    _open.append(device)


class Device(Resettable, WithRegions):
    """An open device: from :func:`vfiocore.open`, where arguments and errors are told.

    Context manager: leaving it closes the NIC and the interrupt sets that were opened from it, and
    the map caches of its own address space, then the device. ``close()`` alone refuses while those
    are open.

    Attributes:
        name: the canonical one, ``"0000:01:00.0"``; of another bus: what that calls it.
        transport: how it was reached, ``"group"`` or ``"fake"``.
        group: its IOMMU group; -1: none.
        flags: what it can do, :class:`DeviceFlag`.
        kind: what it is, :class:`DeviceKind`. What only PCI devices have raises
            :class:`Unsupported` on others: ``config``, ``bars``, ``bus_master``, ``nic()``...
    """

    def __init__(
        self,
        name: str,
        *,
        iommu: Iommu | None = None,
        transport: str | None = None,
        vf_token: UUID | str | None = None,
    ) -> None:
        from .iommu import Iommu

        if iommu is not None and transport is not None:
            raise invalid("an address space has its transport already: give one of the two")
        text = encoded(name, "a device's name")
        opts = DeviceOpts.sized(iommu=None if iommu is None else native(iommu, Iommu, "iommu"))
        by = None if transport is None else c_char_p(encoded(transport, "a transport"))
        if by is not None:
            opts.transport = cast(by, c_void_p)
        token = None if vf_token is None else c_char_p(token_bytes(vf_token))
        if token is not None:
            opts.vf_token = cast(token, c_void_p)
        self._handle = open_handle(lib.vfc_device_open, text, byref(opts))
        self._setup(iommu)

    @classmethod
    def adopt(
        cls,
        fd: int,
        name: str | None = None,
        *,
        iommu: Iommu | None = None,
        shared: bool = False,
    ) -> Device:
        """A device of a descriptor: :func:`vfiocore.adopt`, where arguments and errors are told."""
        from .iommu import Iommu

        text = None if name is None else encoded(name, "a device's name")
        opts = DeviceOpts.sized(
            flags=int(DeviceFlag.SHARED) if shared else 0,
            iommu=None if iommu is None else native(iommu, Iommu, "iommu"),
        )
        self = cls.__new__(cls)
        self._handle = open_handle(lib.vfc_device_adopt, fileno(fd), text, byref(opts))
        self._setup(iommu)
        return self

    @classmethod
    def receive(
        cls, socket: Socket, *, iommu: Iommu | None = None, timeout: float | None = None
    ) -> Device:
        """A device that somebody sends: :func:`vfiocore.receive`, where all is told."""
        from .iommu import Iommu

        fd = fileno(socket.fileno())
        opts = DeviceOpts.sized(iommu=None if iommu is None else native(iommu, Iommu, "iommu"))
        handle = c_void_p()

        def attempt(ns: int) -> int:
            rc: int = lib.vfc_device_receive(fd, byref(opts), ns, byref(handle))
            return rc

        wait(attempt, timeout)
        assert handle.value is not None  # a success without a device cannot be
        self = cls.__new__(cls)
        self._handle = handle.value
        self._setup(iommu)
        return self

    def _setup(self, space: Iommu | None) -> None:
        from .iommu import Iommu

        self._own: Iommu | None = None  # goes with the device, whatever it is attached to meanwhile
        if space is None:
            space = self._own = Iommu._borrow(lib.vfc_device_iommu(self._handle))
        self._iommu = space
        self._attached: dict[int, Iommu] = {0: space}  # by PASID; 0: what it does without one
        self._reached: list[Mapping] = []  # of its regions, in whatever space
        self._children: list[Closing] = []
        self._releaser: Releaser | None = None
        self._regions: dict[int, Region] = {}
        self._read_info()
        # Of the model, too: what is true of it is true of a device.
        check(lib.vfc_nofault_device(self._handle))
        _remember(self)

    def _read_info(self) -> None:
        info = DeviceInfo.sized()
        check(lib.vfc_device_info(self._handle, byref(info)))
        self.name: str = info.name.decode()
        self.transport: str = info.transport.decode()
        self.group: int = info.group
        self.flags = DeviceFlag(info.flags & 3)
        self.kind = DeviceKind(info.kind)
        self._region_count: int = info.regions
        self._irq_count: int = info.irqs
        self._title = f"device {self.name}"

    def close(self) -> None:
        """Stop the device's DMA, close it and detach it. A second call does nothing.

        Raises:
            DeviceBusy: an interrupt set or NIC of it is open; or in its own address space there is
                another device, or a map cache. Nothing has changed.

        Source: vfc_device_close() in vfiocore/device.h.
        """
        handle, self._handle = self._handle, None
        if handle is None:
            return
        self._stop_releaser()
        # Before C: another thread that reads registers shall find them closed, not unmapped.
        for region in self._regions.values():
            region._invalidate()
        rc = lib.vfc_device_close(handle)
        if rc < 0:
            failure = error(rc)
            self._handle = handle
            for region in self._regions.values():
                region._connect()
            raise failure
        _open.remove(self)
        for mapping in self._reached:
            mapping.close()
        if self._own is not None:
            self._own._detach()  # C closed it with the device

    def _stop_releaser(self) -> None:
        releaser, self._releaser = self._releaser, None
        if releaser is not None:
            releaser.stop()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for child in reversed(list(self._children)):
            child.close()
        self._end_caches()
        self.close()

    def _end_caches(self) -> None:
        """Of its own space, which goes with it, unless others use it."""
        own = self._own
        if own is None or own.closed or self._handle is None or not own._caches:
            return
        if own.devices > sum(space is own for space in self._attached.values()):
            return
        from contextlib import suppress

        with suppress(VfioError):  # gone, perhaps
            self.bus_master = False  # from here on nothing is in use, though it is referenced
        own._end_caches()

    def __repr__(self) -> str:
        if self._handle is None:
            return f"<Device {self.name} closed>"
        group = "" if self.group < 0 else f", group {self.group}"
        return f"<Device {self.name}: {self.transport}{group}>"

    @property
    def iommu(self) -> Iommu:
        """The address space it is, or was last, attached to."""
        self._native()
        return self._iommu

    def attach(self, iommu: Iommu) -> None:
        """Attach to another address space in place of the one it is attached to: there is no moment
        at which it reaches neither. What it reached before it reaches no more.

        Args:
            iommu: one beside its own, ``Iommu(beside=device.iommu)``.

        Raises:
            Unsupported: by ``group`` and ``compat``, where a group has one container.
            InvalidArgument: a space that does not share the iommufd.
            DeviceBusy: a NIC of it is open, with rings in the old space.
            VfioError: its IOMMU cannot map what is mapped there.

        Source: vfc_device_attach() in vfiocore/device.h.
        """
        from .iommu import Iommu

        space = native(iommu, Iommu, "iommu")
        check(lib.vfc_device_attach(self._native(), space))
        self._iommu = self._attached[0] = iommu

    def detach(self) -> None:
        """Let it reach nothing. Its space cannot be closed before it is attached to another, or
        closed. A second call does nothing.

        Raises:
            Unsupported, DeviceBusy: as for :meth:`attach`.

        Source: vfc_device_detach() in vfiocore/device.h.
        """
        check(lib.vfc_device_detach(self._native()))
        self._attached.pop(0, None)

    def attach_pasid(self, pasid: int, iommu: Iommu) -> None:
        """Attach what the device does in the name of a process address space to a space of its own.

        Args:
            pasid: 1 to 2**20 - 1. Attached already: moved.

        Raises:
            Unsupported: the transport, kernel or IOMMU has no PASIDs. Newer kernels accept one for
                a device that has none, to no effect: :attr:`vfiocore.iommufd.HwInfo.pasid_bits`.
            InvalidArgument: the PASID, or a space that does not share the iommufd.

        Source: vfc_device_attach_pasid() in vfiocore/device.h.
        """
        from .iommu import Iommu

        pasid = unsigned(pasid, 32, "a PASID")
        space = native(iommu, Iommu, "iommu")
        check(lib.vfc_device_attach_pasid(self._native(), pasid, space))
        self._attached[pasid] = iommu

    def detach_pasid(self, pasid: int) -> None:
        """Undo :meth:`attach_pasid`.

        Raises:
            InvalidArgument: it is not attached.

        Source: vfc_device_detach_pasid() in vfiocore/device.h.
        """
        pasid = unsigned(pasid, 32, "a PASID")
        check(lib.vfc_device_detach_pasid(self._native(), pasid))
        self._attached.pop(pasid, None)

    @property
    def iommufd_id(self) -> int:
        """Its id in the iommufd of its address space.

        Raises:
            Unsupported: the transport has none.
        """
        ident = c_uint32()
        check(lib.vfc_device_iommufd_id(self._native(), byref(ident)))
        return ident.value

    def _make_region(self, index: int) -> Region:
        from .config import Config
        from .region import Region

        if index == RegionIndex.CONFIG and DeviceFlag.PCI in self.flags:
            return Config(self)
        return Region(self, index)

    def low_power(self, *, wakeup: bool = False) -> LowPower:
        """Let the kernel put the device into the lowest state that the platform has, until the
        result is closed: ``with device.low_power():``. Quiesce it first.

        Args:
            wakeup: the first access ends it, which the result's ``wait()`` tells.

        Raises:
            Unsupported: the kernel is older than 6.1.
            DeviceBusy: a NIC of it is open.
            VfioError: it is in low power already.

        Source: vfc_power_low_enter() in vfiocore/power.h.
        """
        from .power import LowPower

        return LowPower(self, wakeup=wakeup)

    def send(self, socket: Socket) -> None:
        """Pass the device and the address space that it is attached to over a connected Unix
        socket, to a process that calls :func:`vfiocore.receive`, and share both with it.

        From here on closing it leaves its DMA on and it attached: the kernel stops it when the last
        process has closed it. Registers are for the processes to agree on, and of each interrupt
        type one of them opens a set.

        Raises:
            Unsupported: by ``fake`` and ``noiommu``.
            DeviceGone: the host has it back.
            VfioError: ``socket`` is none that can send, or the other side closed it.

        Source: vfc_device_send() in vfiocore/handover.h.
        """
        check(lib.vfc_device_send(self._native(), fileno(socket.fileno())))

    @property
    def shared(self) -> bool:
        """Whether another process uses it, too: it was sent, or received."""
        info = DeviceInfo.sized()
        check(lib.vfc_device_info(self._native(), byref(info)))
        return bool(info.flags & DeviceFlag.SHARED)

    def fileno(self) -> int:
        """Its descriptor, to pass by means of one's own; it stays the device's.

        Raises:
            Unsupported: by ``fake`` and ``noiommu``.
            DeviceGone: the host has it back.

        Source: vfc_device_fd() in vfiocore/handover.h.
        """
        return check(lib.vfc_device_fd(self._native()))

    def release(self) -> None:
        """Give the device back to the host, now, whatever is still open of it.

        DMA is turned off, interrupts are disarmed (who waits for one is woken), what is mapped in
        its address space is unmapped if no other device is attached there, and the kernel's
        descriptor is closed. From then on what is done with the device raises :class:`DeviceGone`,
        in whatever thread; closing the objects works as ever. A second call does nothing.

        Of an adopted device (:func:`vfiocore.adopt`) our duplicate is closed: the host has it once
        whoever passed it has closed theirs, too.

        Source: vfc_device_release() in vfiocore/device.h.
        """
        check(lib.vfc_device_release(self._native()))

    @property
    def released(self) -> bool:
        """Whether the host has it back, see :meth:`release`."""
        info = DeviceInfo.sized()
        check(lib.vfc_device_info(self._native(), byref(info)))
        return bool(info.flags & DeviceFlag.RELEASED)

    def release_on_request(self) -> None:
        """Let the host have the device when it wants it: :meth:`release`, in a thread of its own.

        The host asks when the device is unplugged (``device_del``), or unbound from its driver, and
        waits without end for whoever has it open. A second call does nothing.

        Raises:
            DeviceBusy: a stream of events watches the device; :meth:`events` can release it, too.
        """
        from .event import Releaser

        self._native()
        if self._releaser is None:
            self._releaser = Releaser(self)

    def events(self, *, release: bool = False, interval: float = 0.0) -> Events:
        """A stream of events that watches the device, and is closed with it.

        Args:
            release: let go of the device when the host wants it, see :meth:`Events.watch`.
            interval: seconds: how often to ask whether the device is gone; 0: only when there is
                a reason to.
        """
        from .event import watch_stream

        return watch_stream(self, release=release, interval=interval)

    def irq_info(self, index: int | str) -> IrqInfo:
        """What it offers of one interrupt type, by the kernel's index or by name: of a PCI device
        0 to 4, or ``"intx"``, ``"msi"``, ``"msix"``, ``"err"``, ``"req"``."""
        from .irq import irq_info

        return irq_info(self, index)

    @property
    def irq_types(self) -> tuple[IrqInfo, ...]:
        """What it offers of each interrupt type; of those that the kernel does not implement a
        count of 0."""
        return tuple(self.irq_info(index) for index in range(self._irq_count))

    def irqs(self, index: int | str = IrqIndex.MSIX, count: int | None = None) -> IrqSet:
        """Arm vectors 0 to ``count`` - 1 of one type; None: all that it has.

        Of a PCI device one of INTx, MSI and MSI-X can be armed at a time.

        Raises:
            InvalidArgument: more than the device has.
            DeviceBusy: another set is open.

        Source: vfc_irq_open() in vfiocore/irq.h.
        """
        from .irq import IrqSet

        return IrqSet(self, index, count)

    def nic(
        self,
        *,
        queues: int = 1,
        rx_entries: int = 0,
        tx_entries: int = 0,
        promisc: bool = False,
        packed: bool = False,
        rx_checksum: bool = False,
        vlan_filter: bool = False,
        mtu: int = 0,
        spin: float = 0,
        pool: Pool | None = None,
    ) -> Nic:
        """Take it into service as a network interface; options and errors: :class:`Nic`."""
        from .nic import Nic

        return Nic(
            self,
            queues=queues,
            rx_entries=rx_entries,
            tx_entries=tx_entries,
            promisc=promisc,
            packed=packed,
            rx_checksum=rx_checksum,
            vlan_filter=vlan_filter,
            mtu=mtu,
            spin=spin,
            pool=pool,
        )
