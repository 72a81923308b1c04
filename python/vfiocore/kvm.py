# SPDX-License-Identifier: MIT
"""A virtual machine of KVM that is given devices: interrupts go straight into the guest.

>>> with Kvm(vm) as kvm, device.irqs("msi", 1) as irqs:
...     kvm.add(device)
...     kvm.set_routes([Route.msi(24, address=0xFEE00000, data=0x41)])
...     kvm.bind(irqs[0], 24)

Source: vfiocore/kvm.h.
"""

from __future__ import annotations

from errno import EBUSY

from ._native.call import NativeObject, check, fileno, native, open_handle, unsigned
from ._native.enums import KvmIoFlag, KvmRouteKind, Reason
from ._native.loader import lib
from ._native.structs import KvmRoute
from ._record import Record
from ._text import plural
from .device import Device
from .errors import DeviceBusy
from .irq import Interrupt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

__all__ = ["Kvm", "KvmRouteKind", "Route"]

IOAPIC = 2  # KVM_IRQCHIP_IOAPIC, on x86


class Route(Record):
    """Where a GSI, the number by which KVM knows an interrupt, leads: to ``pin`` of the interrupt
    controller ``chip``, or to the message ``data`` at ``address``."""

    gsi: int
    kind: KvmRouteKind
    chip: int
    pin: int
    address: int
    data: int

    @classmethod
    def to_pin(cls, gsi: int, pin: int, chip: int = IOAPIC) -> Self:
        """To a pin of an interrupt controller in the kernel; on x86 chip 2 is the I/O APIC."""
        return cls(gsi, KvmRouteKind.PIN, chip, pin, 0, 0)

    @classmethod
    def msi(cls, gsi: int, address: int, data: int) -> Self:
        """To a message, as the guest has written it into the device's table."""
        return cls(gsi, KvmRouteKind.MSI, 0, 0, address, data)

    def _raw(self) -> KvmRoute:
        return KvmRoute(
            gsi=unsigned(self.gsi, 32, "the GSI"),
            kind=int(self.kind),
            chip=unsigned(self.chip, 32, "the chip"),
            pin=unsigned(self.pin, 32, "the pin"),
            address=unsigned(self.address, 64, "the address"),
            data=unsigned(self.data, 32, "the data"),
        )


class Kvm(NativeObject):
    """What a virtual machine has of our devices. Context manager, which undoes all of it.

    Args:
        vm: the descriptor of ``KVM_CREATE_VM``. It stays the caller's; the machine lives until
            ``close()``, too.

    Raises:
        InvalidArgument: another kind of descriptor.

    Source: vfc_kvm_open() in vfiocore/kvm.h.
    """

    _title = "virtual machine"

    def __init__(self, vm: int) -> None:
        self._devices: list[Device] = []
        self._bound: list[Interrupt] = []
        self._handle = open_handle(lib.vfc_kvm_open, fileno(vm))

    def close(self) -> None:
        """Unbind its vectors and remove its devices. A second call does nothing.

        Source: vfc_kvm_close() in vfiocore/kvm.h.
        """
        if self._handle is None:
            return
        for interrupt in [i for i in self._bound if not i._irqs.closed]:
            self.unbind(interrupt)
        for device in [d for d in self._devices if not (d.closed or d.released)]:
            self.remove(device)
        check(lib.vfc_kvm_close(self._handle))
        self._handle = None

    def add(self, device: Device) -> None:
        """Tell KVM that the guest has the device. Closing or releasing the device ends that.

        Raises:
            DeviceBusy: it is added already, or the machine has a VFIO device of KVM that others
                made.
            Unsupported: the device's transport, or the kernel, has no such thing.

        Source: vfc_kvm_add() in vfiocore/kvm.h.
        """
        check(lib.vfc_kvm_add(self._native(), native(device, Device, "device")))
        self._devices.append(device)

    def remove(self, device: Device) -> None:
        """The reverse of :meth:`add`.

        Source: vfc_kvm_remove() in vfiocore/kvm.h.
        """
        check(lib.vfc_kvm_remove(self._native(), native(device, Device, "device")))
        self._devices.remove(device)

    def set_routes(self, routes: Iterable[Route]) -> None:
        """Set the machine's whole table of GSIs, in place of the one before: KVM only takes all of
        it, and never tells it.

        Raises:
            VfioError: EINVAL: a GSI or pin that there is not, or no interrupt controller in the
                kernel.

        Source: vfc_kvm_set_routes() in vfiocore/kvm.h.
        """
        table = [route._raw() for route in routes]
        check(lib.vfc_kvm_set_routes(self._native(), (KvmRoute * len(table))(*table), len(table)))

    def bind(self, interrupt: Interrupt, gsi: int) -> None:
        """Deliver a vector to the guest, as an interrupt of that GSI. INTx is unmasked by the
        guest's end-of-interrupt. Waits for the vector raise :class:`DeviceBusy` from then on,
        also those that wait already.

        Raises:
            DeviceBusy: it is bound already.
            InvalidArgument: no interrupt controller in the kernel, or for INTx a split one.

        Source: vfc_kvm_bind() in vfiocore/kvm.h.
        """
        irqs, vector = interrupt._irqs._native(), interrupt.vector
        with interrupt._irqs._change():
            check(lib.vfc_kvm_bind(self._native(), irqs, vector, unsigned(gsi, 32, "the GSI")))
        self._bound.append(interrupt)
        if interrupt._readers is not None:
            text = f"vector {vector} fires in a virtual machine now"
            interrupt._readers.fail(lambda: DeviceBusy(EBUSY, text, reason=Reason.BUSY, hint=text))

    def unbind(self, interrupt: Interrupt) -> None:
        """The reverse of :meth:`bind`: it fires here again.

        Source: vfc_kvm_unbind() in vfiocore/kvm.h.
        """
        check(lib.vfc_kvm_unbind(self._native(), interrupt._irqs._native(), interrupt.vector))
        self._bound.remove(interrupt)

    def ioeventfd(
        self,
        fd: int,
        address: int,
        width: int,
        value: int,
        *,
        port: bool = False,
        remove: bool = False,
    ) -> None:
        """When the guest writes ``value``, of ``width`` bytes, to ``address``, raise the eventfd
        ``fd`` and do not leave the guest. With :meth:`Region.ioeventfd` the kernel does the write.

        Args:
            fd: the caller's.
            address: guest-physical, or with ``port`` an I/O port.
            remove: no more, for the same arguments.

        Raises:
            VfioError: EEXIST: there is one; ENOENT: there is none to remove.

        Source: vfc_kvm_ioeventfd_add(), vfc_kvm_ioeventfd_remove() in vfiocore/kvm.h.
        """
        request = lib.vfc_kvm_ioeventfd_remove if remove else lib.vfc_kvm_ioeventfd_add
        check(
            request(
                self._native(),
                unsigned(address, 64, "the address"),
                unsigned(width, 32, "the width"),
                unsigned(value, 64, "the value"),
                int(KvmIoFlag.PORT) if port else 0,
                fileno(fd),
            )
        )

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{plural(len(self._bound), 'vector')} bound"
        return f"<Kvm: {state}>"
