# SPDX-License-Identifier: MIT
"""The regions of a device, by index and by name."""

from __future__ import annotations

from ._native.call import NativeObject, check, encoded, error, integer
from ._native.enums import DeviceFlag, Reason, RegionIndex
from ._native.loader import lib
from .errors import Unsupported, invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .config import Config
    from .region import Region

__all__ = ["WithRegions"]


class WithRegions(NativeObject):
    """The part of :class:`Device` that finds its regions."""

    name: str
    flags: DeviceFlag
    _region_count: int
    _regions: dict[int, Region]  # those that were asked for, by index

    @property
    def regions(self) -> tuple[Region, ...]:
        """All regions by the kernel's index; one that is not implemented has a length of 0."""
        return tuple(self.region(index) for index in range(self._region_count))

    def region(self, index: int | str) -> Region:
        """One region by the kernel's index, or by its name.

        Raises:
            OutOfRange: no such index.
            InvalidArgument: no such name.
        """
        self._native()
        if isinstance(index, str):
            index = self._find_region(index)
        index = integer(index, "a region's index")
        if not 0 <= index < self._region_count:
            raise invalid(f"region {index} of {self._region_count}", Reason.RANGE)
        if index not in self._regions:
            self._regions[index] = self._make_region(index)
        return self._regions[index]

    def _find_region(self, name: str) -> int:
        found: int = lib.vfc_region_find(self._native(), encoded(name, "a region's name"))
        if found < 0:
            raise invalid(error(found).hint)
        return found

    def _make_region(self, index: int) -> Region:
        raise NotImplementedError

    def bar(self, index: int) -> Region:
        """BAR 0 to 5.

        Raises:
            OutOfRange: no such index.
            Unsupported: it is not a PCI device.
        """
        self._need_pci("BARs")
        if not 0 <= integer(index, "a BAR's index") <= RegionIndex.BAR5:
            raise invalid(f"BAR {index}: there are 0 to 5", Reason.RANGE)
        return self.region(index)

    @property
    def bars(self) -> tuple[Region, ...]:
        """The six BARs; one that is not implemented has a length of 0."""
        return tuple(self.bar(index) for index in range(6))

    @property
    def config(self) -> Config:
        """PCI config space.

        Raises:
            Unsupported: it is not a PCI device.
        """
        from .config import Config

        self._need_pci("config space")
        region = self.region(RegionIndex.CONFIG)
        assert isinstance(region, Config)
        return region

    def _need_pci(self, what: str) -> None:
        if DeviceFlag.PCI in self.flags:
            return
        from errno import EOPNOTSUPP

        text = f"{self.name} is no PCI device: it has no {what}"
        raise Unsupported(EOPNOTSUPP, text, reason=Reason.UNSUPPORTED, hint=text)

    @property
    def rom(self) -> Region:
        """The expansion ROM.

        Raises:
            Unsupported: it is not a PCI device.
        """
        self._need_pci("expansion ROM")
        return self.region(RegionIndex.ROM)

    @property
    def bus_master(self) -> bool:
        """Whether the device may do DMA and send MSI; off until it is turned on.

        Source: vfc_device_bus_master(); PCI Local Bus 3.0 section 6.2.2.
        """
        from .config import COMMAND_BUS_MASTER

        return bool(self.config.command & COMMAND_BUS_MASTER)

    @bus_master.setter
    def bus_master(self, on: bool) -> None:
        check(lib.vfc_device_bus_master(self._native(), bool(on)))
