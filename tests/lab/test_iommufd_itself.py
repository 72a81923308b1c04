# SPDX-License-Identifier: MIT
"""The iommufd itself, and its address spaces, without a device."""

from __future__ import annotations

import errno
import mmap

import pytest
from children import in_child

import vfiocore
from vfiocore.iommufd import Ioas, IommuFd

pytestmark = pytest.mark.machine("iommufd")

PAGE = mmap.PAGESIZE


def memory(pages: int = 1) -> mmap.mmap:
    return mmap.mmap(-1, pages * PAGE)


def test_accounting_is_chosen_before_there_are_objects(iommufd: IommuFd) -> None:
    assert iommufd.counts_by_process is False
    iommufd.counts_by_process = True
    assert iommufd.counts_by_process is True
    with iommufd.ioas():
        with pytest.raises(vfiocore.DeviceBusy, match="before there is any object"):
            iommufd.counts_by_process = False
        assert iommufd.counts_by_process is True
    iommufd.counts_by_process = False


def test_compatibility_address_space(iommufd: IommuFd, ioas: Ioas) -> None:
    assert iommufd.compat_ioas is None
    iommufd.compat_ioas = ioas
    assert iommufd.compat_ioas == ioas.id
    iommufd.compat_ioas = None
    assert iommufd.compat_ioas is None
    iommufd.compat_ioas = ioas.id
    with pytest.raises(vfiocore.VfioError, match="no object of that kind") as caught:
        iommufd.compat_ioas = 12345
    assert caught.value.errno == errno.ENOENT


def test_ids_that_are_not(iommufd: IommuFd, ioas: Ioas) -> None:
    with pytest.raises(vfiocore.VfioError, match="no such object") as caught:
        iommufd.destroy(12345)
    assert caught.value.errno == errno.ENOENT
    gone = ioas.id
    ioas.close()
    ioas.close()
    with pytest.raises(vfiocore.ClosedError, match=f"ioas {gone} is closed"):
        ioas.map(memory())
    with pytest.raises(vfiocore.VfioError, match="no object of that kind"):
        iommufd.ioas(gone).ranges  # noqa: B018


def test_a_descriptor_that_is_lent(iommufd: IommuFd, ioas: Ioas) -> None:
    buffer = memory()
    with IommuFd(iommufd.fileno()) as lent:
        iova = lent.ioas(ioas.id).map(buffer)
        new = lent.ioas()
    assert new.closed
    assert ioas.unmap(iova, PAGE) == PAGE  # which outlives the other


def test_no_permission_on_the_node(ordinary_user: int) -> None:
    def open_it() -> None:
        with pytest.raises(vfiocore.PermissionDenied, match="chown"):
            IommuFd()

    in_child(open_it, ordinary_user)


def test_memory_of_a_process_cannot_be_handed_over(iommufd: IommuFd, ioas: Ioas) -> None:
    ioas.map(memory())
    with pytest.raises(vfiocore.InvalidArgument, match="map files only"):
        iommufd.change_process()
    ioas.unmap_all()
    iommufd.change_process()
