# SPDX-License-Identifier: MIT
"""What lspci (pciutils 3.9) says in other ways than ``Word+``, and which field each stands for.

By capability: a pattern of its text on one line, and for each group ``register.field:conversion``,
or ``register:conversion`` for the whole. Where a conversion gives text, our text is compared, else
our number. ``SCALED`` names numbers that lspci shows multiplied by what stands in another field.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from lspci_flags import HEADER, Key

_EXPRESS_TYPES = {
    "Endpoint": 0,
    "Legacy Endpoint": 1,
    "Root Port": 4,
    "Upstream Port": 5,
    "Downstream Port": 6,
    "PCI-Express to PCI/PCI-X Bridge": 7,
    "PCI/PCI-X to PCI-Express Bridge": 8,
    "Root Complex Integrated Endpoint": 9,
    "Root Complex Event Collector": 10,
}
_RANGES = {
    **{"Not Supported": 0, "Range A": 1, "Range B": 2, "Range AB": 3, "Range BC": 6},
    **{"Range ABC": 7, "Range BCD": 14, "Range ABCD": 15},
}
_GRANULARITY = {"Unimplemented": 0, "Unknown": 0, "Greater than 254ns": 255}

CONVERSIONS: dict[str, Callable[[str], int | str]] = {
    "number": int,
    "hexa": lambda text: int(text, 16),
    "one_less": lambda text: int(text) - 1,
    "power": lambda text: int(text).bit_length() - 1,
    "phantom": lambda text: (int(text) + 1).bit_length() - 1,
    "read_size": lambda text: int(text).bit_length() - 4,
    "quarter_us": lambda text: int(text) // 250,
    "dwords": lambda text: int(text) // 4,
    "sata_bar": lambda text: int(text) + 4,
    "serial": lambda text: int(text.replace("-", ""), 16),
    "prefetchable": lambda text: int(text is None),
    "granularity": lambda text: _GRANULARITY[text] if text in _GRANULARITY else int(text[:-2]),
    "bar_type": ("32-bit", "low-1M", "64-bit").index,
    "vf_bar_type": ("32", "", "64").index,
    "l0s": ("<64ns", "<128ns", "<256ns", "<512ns", "<1us", "<2us", "<4us", "unlimited").index,
    "l1": ("<1us", "<2us", "<4us", "<8us", "<16us", "<32us", "<64us", "unlimited").index,
    "aspm": ("not supported", "L0s", "L1", "L0s L1").index,
    "aspm_on": ("Disabled", "L0s Enabled", "L1 Enabled", "L0s L1 Enabled").index,
    "indicator": ("Unknown", "On", "Blink", "Off").index,
    "crosslink": ("unsupported", "Upstream Port", "Downstream Port", "incomplete").index,
    "ht_width": ("8bit", "16bit", "[2]", "32bit", "2bit", "4bit", "[6]", "N/C").index,
    "deemphasis": ("-6dB", "-3.5dB").index,
    "obff": ("Not Supported", "Via message, ", "Via WAKE#, ", "Via message/WAKE#, ").index,
    "element": ("Config", "Egress", "Internal").index,
    "express_type": _EXPRESS_TYPES.__getitem__,
    "ranges": _RANGES.__getitem__,
    "virtio": ("", "CommonCfg", "Notify", "ISR", "DeviceCfg").index,
    # These give our text.
    "as_is": str,
    "bytes": "{} bytes".format,
    "milliampere": "{} mA".format,
    "rate": "{} GT/s".format,
    "iec": lambda text: f"{text[:-1]} {text[-1]}iB",
    "spaced": lambda text: re.sub(r"(\d)([mu]?s)", r"\1 \2", text),
}


def each(count: int, pattern: str, targets: str) -> list[tuple[str, str]]:
    """A row for each number, which stands for ``%``."""
    return [(pattern.replace("%", str(n)), targets.replace("%", str(n))) for n in range(count)]


VALUES: dict[Key, tuple[tuple[str, str], ...]] = {
    HEADER: (
        (r"^\S+ ([0-9a-f]{4}): ([0-9a-f]{4}):([0-9a-f]{4})", "class:hexa vendor:hexa device:hexa"),
        (r"\(rev ([0-9a-f]{2})\)", "revision:hexa"),
        (r"Subsystem: ([0-9a-f]{4}):([0-9a-f]{4})", "subsystem_vendor:hexa subsystem_device:hexa"),
        (r" Status: [^=]*DEVSEL=(fast|medium|slow)", "status.devsel:as_is"),
        (r"Latency: (\d+)", "latency_timer.clocks:number"),
        (r"\((\d+)ns min", "min_grant.quarter_us:quarter_us"),
        (r"(\d+)ns max\)", "max_latency.quarter_us:quarter_us"),
        (r"Cache Line Size: (\d+) bytes", "cache_line_size.dwords:dwords"),
        (r"BIST result: ([0-9a-f]+)", "bist.code:hexa"),
        (r"Interrupt: pin ([A-D]) routed to IRQ", "interrupt_pin.pin:as_is"),
        (
            r"Bus: primary=(\w+), secondary=(\w+), subordinate=(\w+), sec-latency=(\d+)",
            "primary_bus:hexa secondary_bus:hexa subordinate_bus:hexa "
            "secondary_latency.clocks:number",
        ),
        (r"Expansion ROM at ([0-9a-f]+)", "rom.address:hexa"),
        *each(6, r"Region %: I/O ports at ([0-9a-f]+)", "bar%.address:hexa"),
        *each(
            6,
            r"Region %: Memory at ([0-9a-f]+) \((32-bit|low-1M|64-bit), (non-)?prefetchable\)",
            "bar%.address:hexa bar%.type:bar_type bar%.prefetchable:prefetchable",
        ),
    ),
    (0x01, False): (
        (r"Power Management version (\d)", "capabilities.version:number"),
        (r"AuxCurrent=(\d+)mA", "capabilities.aux_current:milliampere"),
        (
            r"Status: D(\d) .*DSel=(\d+) DScale=(\d)",
            "control.state:number control.data_select:number control.data_scale:number",
        ),
    ),
    (0x04, False): (
        (r"Slot ID: (\d+) slots, First., chassis (\w+)", "expansion.slots:number chassis:hexa"),
    ),
    (0x05, False): (
        (r"Count=(\d+)/(\d+)", "control.enabled:power control.capable:power"),
        (r"Address: ([0-9a-f]+) Data: ([0-9a-f]+)", "address:hexa data:hexa"),
        (r"Masking: ([0-9a-f]+) Pending: ([0-9a-f]+)", "mask:hexa pending:hexa"),
    ),
    (0x02, False): (
        (r"AGP version ([0-9a-f]+)\.([0-9a-f]+)", "version.major:hexa version.minor:hexa"),
        (
            r"Status: RQ=(\d+) .*?ArqSz=(\d) Cal=(\d)",
            "status.requests:one_less status.async_size:number status.calibration:number",
        ),
    ),
    (0x07, False): (
        (r"Command: .*RBC=(\d+) OST=(\d+)", "command.max_read:bytes command.max_split:as_is"),
        (r"Dev=(\w\w):(\w\w)\.(\d)", "status.bus:hexa status.device:hexa status.function:number"),
        (
            r"DMMRBC=(\d+) DMOST=(\d+) DMCRS=(\d+)",
            "status.designed_read:bytes status.designed_split:as_is status.designed_size:read_size",
        ),
        (
            r"Upstream: Capacity=(\d+) CommitmentLimit=(\d+)",
            "upstream.capacity:number upstream.commitment:number",
        ),
        (
            r"Downstream: Capacity=(\d+) CommitmentLimit=(\d+)",
            "downstream.capacity:number downstream.commitment:number",
        ),
    ),
    (0x08, False): (
        (r"BaseUnitID=(\d+) UnitCnt=(\d+)", "command.base_unit:number command.units:number"),
        (r"Link Control 0: .*?<CRCErr=(\w)", "link_control0.crc_error:hexa"),
        (r"Link Control 1: .*?<CRCErr=(\w)", "link_control1.crc_error:hexa"),
        (
            r"Link Config 0: MLWI=(\S+) DwFcIn. MLWO=(\S+) DwFcOut. LWI=(\S+) DwFcInEn. "
            r"LWO=(\S+)",
            "link_config0.max_in:ht_width link_config0.max_out:ht_width "
            "link_config0.width_in:ht_width link_config0.width_out:ht_width",
        ),
        (
            r"Link Config 1: MLWI=(\S+) DwFcIn. MLWO=(\S+) DwFcOut. LWI=(\S+) DwFcInEn. "
            r"LWO=(\S+)",
            "link_config1.max_in:ht_width link_config1.max_out:ht_width "
            "link_config1.width_in:ht_width link_config1.width_out:ht_width",
        ),
        (r"Interface .*Revision ID: (\d+)\.(\d+)", "revision.major:number revision.minor:number"),
        (r"Mapping Address Base: ([0-9a-f]+)", "address.address:hexa"),
        (r"HyperTransport: Revision ID: (\d+)\.(\d+)", "command.major:number command.minor:number"),
    ),
    (0x09, False): (
        (
            r"VirtIO: (CommonCfg|Notify|ISR|DeviceCfg) BAR=(\d) offset=(\w+) size=(\w+)",
            "structure.kind:virtio bar.number:number place:hexa length:hexa",
        ),
        (r"multiplier=(\w+)", "notify_multiplier.bytes:hexa"),
        (r"Information: Len=(\w+)", "structure_length.bytes:hexa"),
    ),
    (0x0A, False): ((r"Debug port: BAR=(\d) offset=(\w+)", "place.bar:number place.address:hexa"),),
    (0x0D, False): ((r"Subsystem: ([0-9a-f]{4}):([0-9a-f]{4})", "vendor:hexa device:hexa"),),
    (0x10, False): (
        (
            r"Express(?: \(v(\d+)\))? ([A-Z][\w /-]+?)(?: \(Slot.\))?, MSI (\w+)",
            "flags.version:number flags.type:express_type flags.interrupt:hexa",
        ),
        (
            r"DevCap: MaxPayload (128|256|512|1024|2048|4096) bytes",
            "device_capabilities.max_payload:bytes",
        ),
        (r"DevCap: .*?PhantFunc (\d)", "device_capabilities.phantom_functions:phantom"),
        (
            r"Latency L0s (\S+), L1 (\S+) ExtTag",
            "device_capabilities.l0s_latency:l0s device_capabilities.l1_latency:l1",
        ),
        (
            r"DevCtl: .*?MaxPayload (128|256|512|1024|2048|4096) bytes, MaxReadReq "
            r"(128|256|512|1024|2048|4096) bytes",
            "device_control.max_payload:bytes device_control.max_read_request:bytes",
        ),
        (r"LnkCap: Port #(\d+)", "link_capabilities.port:number"),
        (r"LnkCap: Port #\d+, (?:Speed )?([\d.]+)GT/s", "link_capabilities.speed:rate"),
        (
            r"LnkCap: .*?Width x(\d+), ASPM (not supported|L0s L1|L0s|L1)",
            "link_capabilities.width:number link_capabilities.aspm:aspm",
        ),
        (r"LnkCap: .*?Exit Latency L0s (<?\w+)", "link_capabilities.l0s_exit:l0s"),
        (
            r"LnkCap: .*?Exit Latency (?:L0s <?\w+, )?L1 (<?\w+) ClockPM",
            "link_capabilities.l1_exit:l1",
        ),
        (
            r"LnkCtl: ASPM (Disabled|L0s Enabled|L1 Enabled|L0s L1 Enabled);(?: RCB (64|128))?",
            "link_control.aspm:aspm_on link_control.read_completion_boundary:bytes",
        ),
        (r"LnkSta: (?:Speed )?([\d.]+)GT/s", "link_status.speed:rate"),
        (r"LnkSta: .*?Width x(\d+)", "link_status.width:number"),
        (r"SltCap: .*?Slot #(\d+)", "slot_capabilities.slot:number"),
        (
            r"Control: AttnInd (\w+), PwrInd (\w+)",
            "slot_control.attention_indicator:indicator slot_control.power_indicator:indicator",
        ),
        (r"RootSta: PME ReqID (\w+)", "root_status.pme_requester:hexa"),
        (
            r"DevCap2: Completion Timeout: (Not Supported|Range [ABCD]+)",
            "device_capabilities2.timeout_ranges:ranges",
        ),
        (
            r"DevCap2: .*?OBFF (Not Supported|Via message, |Via WAKE#, |Via message/WAKE#, )",
            "device_capabilities2.obff:obff",
        ),
        (r"EETLPPrefix\+, MaxEETLPPrefixes (\d)", "device_capabilities2.max_tlp_prefixes:as_is"),
        (
            r"DevCtl2: Completion Timeout: (50us to 50ms|50us to 100us|1ms to 10ms|16ms to "
            r"55ms|65ms to 210ms|260ms to 900ms|1s to 3.5s|4s to 13s|17s to 64s)",
            "device_control2.timeout:spaced",
        ),
        (r"LnkCtl2: Target Link Speed: (?:Speed )?([\d.]+)GT/s", "link_control2.target_speed:rate"),
        (r"Current De-emphasis Level: (-6dB|-3.5dB)", "link_status2.deemphasis:deemphasis"),
        (
            r"CrosslinkRes: (unsupported|Upstream Port|Downstream Port|incomplete)",
            "link_status2.crosslink:crosslink",
        ),
    ),
    (0x11, False): (
        (r"Count=(\d+)", "control.vectors:one_less"),
        (r"Vector table: BAR=(\d) offset=(\w+)", "table.bar:number table.address:hexa"),
        (r"PBA: BAR=(\d) offset=(\w+)", "pending.bar:number pending.address:hexa"),
    ),
    (0x12, False): (
        (r"SATA HBA v(\d+)\.(\d+)", "revision.major:number revision.minor:number"),
        (r"BAR(\d+) Offset=(\w+)", "place.bar:sata_bar place.address:hexa"),
    ),
    (0x14, False): (
        (r"NumEntries=(\d+)", "entries.count:number"),
        (r"secondary=(\d+), subordinate=(\d+)", "secondary_bus:number subordinate_bus:number"),
        (r"Entry 0: .*?EntrySize=(\d)", "entry0.dwords:number"),
    ),
    (0x01, True): (
        (r"First Error Pointer: (\w+)", "control.first_error:hexa"),
        (
            r"HeaderLog: (\w{8}) (\w{8}) (\w{8}) (\w{8})",
            "header_log0:hexa header_log1:hexa header_log2:hexa header_log3:hexa",
        ),
        (r"IntMsg (\d+)", "root_status.interrupt:number"),
        (
            r"ERR_COR: (\w{4}) ERR_FATAL/NONFATAL: (\w{4})",
            "error_source.correctable:hexa error_source.uncorrectable:hexa",
        ),
    ),
    (0x02, True): (
        (r"LPEVC=(\d)", "capabilities1.low_priority:number"),
        (r"PATEntryBits=(\d)", "capabilities1.table_entry:power"),
        (
            r"VC0: Caps: PATOffset=(\w+) MaxTimeSlots=(\d+)",
            "vc0_capabilities.table_place:hexa vc0_capabilities.max_slots:one_less",
        ),
        (
            r"VC1: Caps: PATOffset=(\w+) MaxTimeSlots=(\d+)",
            "vc1_capabilities.table_place:hexa vc1_capabilities.max_slots:one_less",
        ),
        (
            r"VC0 Ctrl: Enable. ID=(\d) .*?TC/VC=(\w+)",
            "vc0_control.id:number vc0_control.traffic_classes:hexa",
        ),
        (
            r"VC1 Ctrl: Enable. ID=(\d) .*?TC/VC=(\w+)",
            "vc1_control.id:number vc1_control.traffic_classes:hexa",
        ),
    ),
    (0x03, True): ((r"Device Serial Number ([0-9a-f-]+)", "serial:serial"),),
    (0x05, True): (
        (
            r"Desc: PortNumber=(\w+) ComponentID=(\w+) EltType=(Config|Egress|Internal)",
            "element.port:hexa element.component:hexa element.type:element",
        ),
        (r"TargetPort=(\w+) TargetComponent=(\w+)", "link0.port:hexa link0.component:hexa"),
    ),
    (0x07, True): ((r"AssociatedBusNumbers: (\w+)-(\w+)", "buses.next:hexa buses.last:hexa"),),
    (0x0B, True): (
        (
            r"Information: ID=(\w+) Rev=(\d+) Len=(\w+)",
            "identity.id:hexa identity.revision:number identity.length:hexa",
        ),
    ),
    (0x0E, True): (
        (r"Next Function: (\d+)", "capabilities.next_function:number"),
        (r"Function Group: (\d)", "control.group:number"),
    ),
    (0x0F, True): (
        (r"Invalidate Queue Depth: (\w+)", "capabilities.queue_depth:hexa"),
        (r"Smallest Translation Unit: (\w+)", "control.smallest_unit:hexa"),
    ),
    (0x10, True): (
        (r"Interrupt Message Number: (\w+)", "capabilities.migration_interrupt:hexa"),
        (
            r"Initial VFs: (\d+), Total VFs: (\d+), Number of VFs: (\d+), Function Dependency "
            r"Link: (\w+)",
            "initial_vfs:number total_vfs:number vfs:number dependency_link:hexa",
        ),
        (
            r"VF offset: (\d+), stride: (\d+), Device ID: (\w+)",
            "first_vf:number vf_stride:number vf_device:hexa",
        ),
        (r"Supported Page Size: (\w+), System Page Size: (\w+)", "page_sizes:hexa page_size:hexa"),
        *each(
            6,
            r"Region %: Memory at ([0-9a-f]+) \((32|64)-bit, (non-)?prefetchable\)",
            "bar%.address:hexa bar%.type:vf_bar_type bar%.prefetchable:prefetchable",
        ),
        (
            r"VF Migration: offset: (\w+), BIR: (\d)",
            "migration_state.address:hexa migration_state.bar:number",
        ),
    ),
    (0x12, True): (
        (r"MaxGroups (\d+)", "capabilities.groups:one_less"),
        (r"NumGroups (\d+)", "control.groups:one_less"),
        (r"IndexPos (\d+), BaseAddr (\w+)", "base.index:number base.address:hexa"),
        (r"McastReceiveVec: (\w+)", "receive:hexa"),
        (r"McastBlockAllVec: (\w+)", "block_all:hexa"),
        (r"McastBlockUntransVec: (\w+)", "block_untranslated:hexa"),
        (
            r"OverlaySize (\d+) .*?BaseAddr (\w+)",
            "overlay_bar.power:number overlay_bar.address:hexa",
        ),
    ),
    (0x13, True): (
        (
            r"Request Capacity: (\w+), Page Request Allocation: (\w+)",
            "capacity:hexa allocation:hexa",
        ),
    ),
    (0x15, True): (
        (
            r"Resizable BAR BAR (\d): current size: (\d+[MGTPE])B",
            "control0.bar:number control0.bar_size:iec",
        ),
    ),
    (0x18, True): (
        (r"Max snoop latency: (\d+)ns", "max_snoop.value:number"),
        (r"Max no snoop latency: (\d+)ns", "max_no_snoop.value:number"),
    ),
    (0x1B, True): ((r"Max PASID Width: (\w+)", "capabilities.width:hexa"),),
    (0x1D, True): (
        (r"INT Msg #(\d+)", "capabilities.interrupt:number"),
        (r"RP PIO Log (\d+)", "capabilities.pio_log_size:number"),
        (r"Trigger:(\d)", "control.trigger:number"),
        (r"Reason:(\d+)", "status.reason:hexa"),
        (
            r"TriggerExt:(\d+) RP PIO ErrPtr:(\w+)",
            "status.reason_extension:hexa status.first_pio_error:hexa",
        ),
        (r"Source: (\w+)", "source:hexa"),
    ),
    (0x1E, True): (
        (r"PortCommonModeRestoreTime=(\d+)us", "capabilities.common_mode_restore:number"),
        (r"T_CommonMode=(\d+)us", "control1.common_mode_restore:number"),
        (r"PortTPowerOnTime=(\d+)us", "capabilities.power_on_value:number"),
        (r"T_PwrOn=(\d+)us", "control2.power_on_value:number"),
        (r"LTR1.2_Threshold=(\d+)ns", "control1.threshold_value:number"),
    ),
    (0x1F, True): (
        (
            r"PTMClockGranularity: (\d+ns|Unimplemented|Greater than 254ns)",
            "capabilities.granularity:granularity",
        ),
        (
            r"PTMEffectiveGranularity: (\d+ns|Unknown|Greater than 254ns)",
            "control.granularity:granularity",
        ),
    ),
    (0x23, True): (
        (
            r"Vendor=(\w{4}) ID=(\w{4}) Rev=(\d+) Len=(\d+)",
            "vendor.id:hexa identity.id:hexa vendor.revision:number vendor.length:number",
        ),
    ),
    (0x2E, True): ((r"Interrupt Message Number (\w+)", "capabilities.message:hexa"),),
}

_THREE = (2, 10, 100)  # us
_POWERS = tuple(32**n for n in range(8))  # ns
SCALED: dict[tuple[Key, str], tuple[str, tuple[int, ...]]] = {
    ((0x1E, True), "capabilities.power_on_value"): ("power_on_scale", _THREE),
    ((0x1E, True), "control2.power_on_value"): ("power_on_scale", _THREE),
    ((0x1E, True), "control1.threshold_value"): ("threshold_scale", _POWERS),
    ((0x18, True), "max_snoop.value"): ("scale", _POWERS),
    ((0x18, True), "max_no_snoop.value"): ("scale", _POWERS),
}
