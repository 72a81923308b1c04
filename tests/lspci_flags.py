# SPDX-License-Identifier: MIT
"""lspci's ``Word+`` and ``Word-`` (pciutils 3.9), and which field each stands for.

By capability, and by the words that its line begins with: a register, and ``Word=field`` for each;
``!`` in front of a field says that lspci shows the opposite.
"""

from __future__ import annotations

Key = tuple[int, bool]  # a capability's id, and whether it is an extended one

# What is no capability.
HEADER: Key = (0, False)
CARDBUS: Key = (-1, False)

_UNCORRECTABLE = (
    "DLP=data_link SDES=surprise_down TLP=poisoned FCP=flow_control CmpltTO=completion_timeout "
    "CmpltAbrt=completer_abort UnxCmplt=unexpected_completion RxOF=receiver_overflow "
    "MalfTLP=malformed ECRC=ecrc UnsupReq=unsupported ACSViol=acs_violation"
)
_CORRECTABLE = (
    "RxErr=receiver BadTLP=bad_tlp BadDLLP=bad_dllp Rollover=replay_rollover "
    "Timeout=replay_timeout AdvNonFatalErr=advisory_nonfatal"
)
_ACS = (
    "SrcValid=source_validation TransBlk=translation_blocking ReqRedir=request_redirect "
    "CmpltRedir=completion_redirect UpstreamFwd=upstream_forwarding EgressCtrl=egress_control "
    "DirectTrans=direct_translated"
)
_SUBSTATES = (
    "PCI-PM_L1.2=pcipm_l1_2 PCI-PM_L1.1=pcipm_l1_1 ASPM_L1.2=aspm_l1_2 ASPM_L1.1=aspm_l1_1 "
)
_STATUS = (
    "66MHz=mhz66 UDF=user_definable FastB2B=fast_back_to_back ParErr=parity_master "
    ">TAbort=target_abort_sent <TAbort=target_abort <MAbort=master_abort >SERR=serr <SERR=serr "
    "<PERR=parity_error"
)
_COMMAND = (
    "I/O=io Mem=memory BusMaster=master SpecCycle=special_cycles MemWINV=memory_invalidate "
    "VGASnoop=vga_snoop ParErr=parity Stepping=stepping SERR=serr FastB2B=fast_back_to_back "
    "DisINTx=intx_disable"
)
_HT_CONTROL = (
    "CFlE=crc_flood CST=crc_start CFE=crc_force <LkFail=link_failure Init=init_done "
    "EOC=end_of_chain TXO=off IsocEn=isochronous_flow LSEn=ldt_stop_tristate "
    "ExtCTL=extended_ctl 64b=address_64"
)
_VC_ARBITRATION = (
    "Fixed=fixed WRR32=round_robin32 WRR64=round_robin64 WRR128=round_robin128 "
    "TWRR128=time_based128 WRR256=round_robin256"
)

FLAGS: dict[Key, dict[str, tuple[str, str]]] = {
    HEADER: {
        "Control:": ("command", _COMMAND),
        "Status:": ("status", _STATUS + " Cap=capabilities INTx=intx"),
        "Secondary status:": ("secondary_status", _STATUS),
        "BridgeCtl:": (
            "bridge_control",
            "Parity=parity SERR=serr NoISA=isa VGA=vga VGA16=vga_16_bit "
            "MAbort=master_abort >Reset=bus_reset FastB2B=fast_back_to_back "
            "PriDiscTmr=primary_discard SecDiscTmr=secondary_discard DiscTmrStat=discard_status "
            "DiscTmrSERREn=discard_serr",
        ),
    },
    CARDBUS: {
        "Control:": ("command", _COMMAND),
        "Status:": ("status", _STATUS + " Cap=capabilities INTx=intx"),
        "BridgeCtl:": (
            "bridge_control",
            "Parity=parity SERR=serr ISA=isa VGA=vga MAbort=master_abort >Reset=card_reset "
            "16bInt=irq_enable PostWrite=write_posting",
        ),
    },
    (0x01, False): {
        "Flags:": (
            "capabilities",
            "PMEClk=pme_clock DSI=device_specific_init D1=d1 D2=d2 PME(D0=pme_d0 ,D1=pme_d1 "
            ",D2=pme_d2 ,D3hot=pme_d3hot ,D3cold=pme_d3cold",
        ),
        "Status:": ("control", "NoSoftRst=no_soft_reset PME-Enable=pme_enable PME=pme_status"),
        "Bridge:": ("bridge", "PM=clock_control B3=!b2_b3"),
    },
    (0x04, False): {"Slot ID:": ("expansion", "First=first")},
    (0x05, False): {"MSI:": ("control", "Enable=enable Maskable=maskable 64bit=wide")},
    (0x02, False): {
        "Status:": (
            "status",
            "Iso=isochronous SBA=sideband ITACoh=coherent GART64=gart64 HTrans=host_translation "
            "64bit=above_4g FW=fast_writes AGP3=agp3",
        ),
        "Command:": (
            "command",
            "SBA=sideband AGP=enable GART64=gart64 64bit=above_4g FW=fast_writes",
        ),
    },
    (0x07, False): {
        "Command:": ("command", "DPERE=parity_recovery ERO=relaxed_ordering"),
        "Secondary Status:": (
            "secondary_status",
            "64bit=wide 133MHz=mhz133 SCD=split_discarded USC=unexpected_split SCO=split_overrun "
            "SRD=split_delayed",
        ),
        " Status: Dev": (
            "status",
            "64bit=wide 133MHz=mhz133 SCD=split_discarded USC=unexpected_split RSCEM=split_error "
            "SCO=split_overrun SRD=split_delayed 266MHz=mhz266 533MHz=mhz533",
        ),
    },
    (0x08, False): {
        "MSI Mapping": ("command", "Enable=enable Fixed=fixed"),
        "Command:": (
            "command",
            "MastHost=master_host DefDir=default_direction DUL=drop_on_uninitialized "
            "WarmRst=warm_reset DblEnd=double_ended",
        ),
        "Link Control 0:": ("link_control0", _HT_CONTROL),
        "Link Control 1:": ("link_control1", _HT_CONTROL),
        "Link Control:": ("link_control", _HT_CONTROL),
    },
    (0x10, False): {
        "DevCap:": (
            "device_capabilities",
            "ExtTag=extended_tag AttnBtn=attention_button AttnInd=attention_indicator "
            "PwrInd=power_indicator RBE=role_based_errors FLReset=flr",
        ),
        "DevCtl:": (
            "device_control",
            "CorrErr=correctable NonFatalErr=nonfatal FatalErr=fatal UnsupReq=unsupported "
            "RlxdOrd=relaxed_ordering ExtTag=extended_tag PhantFunc=phantom_functions "
            "AuxPwr=aux_power NoSnoop=no_snoop FLReset=flr BrConfRtry=flr",
        ),
        "DevSta:": (
            "device_status",
            "CorrErr=correctable NonFatalErr=nonfatal FatalErr=fatal UnsupReq=unsupported "
            "AuxPwr=aux_power TransPend=transactions_pending",
        ),
        "LnkCap:": (
            "link_capabilities",
            "ClockPM=clock_pm Surprise=surprise_down LLActRep=link_active "
            "BwNot=bandwidth_notification ASPMOptComp=aspm_optionality",
        ),
        "LnkCtl:": (
            "link_control",
            "Disabled=disable CommClk=common_clock ExtSynch=extended_synch ClockPM=clock_pm "
            "AutWidDis=autonomous_width_disable BWInt=bandwidth_interrupt "
            "AutBWInt=autonomous_bandwidth_interrupt",
        ),
        "LnkSta:": (
            "link_status",
            "TrErr=training_error Train=training SlotClk=slot_clock DLActive=link_active "
            "BWMgmt=bandwidth ABWMgmt=autonomous_bandwidth",
        ),
        "SltCap:": (
            "slot_capabilities",
            "AttnBtn=attention_button PwrCtrl=power_controller MRL=latch_sensor "
            "AttnInd=attention_indicator PwrInd=power_indicator HotPlug=hotplug Surprise=surprise "
            "Interlock=interlock NoCompl=no_command_completed",
        ),
        "SltCtl: Enable:": (
            "slot_control",
            "AttnBtn=attention_button PwrFlt=power_fault MRL=latch_changed "
            "PresDet=presence_changed CmdCplt=command_completed HPIrq=hotplug_interrupt "
            "LinkChg=link_changed",
        ),
        "Control: AttnInd": ("slot_control", "Power=power_off Interlock=interlock"),
        "SltSta: Status:": (
            "slot_status",
            "AttnBtn=attention_button PowerFlt=power_fault MRL=latch_open "
            "CmdCplt=command_completed PresDet=presence Interlock=interlock",
        ),
        "Changed:": (
            "slot_status",
            "MRL=latch_changed PresDet=presence_changed LinkState=link_changed",
        ),
        "RootCap:": ("root_capabilities", "CRSVisible=crs_visible"),
        "RootCtl:": (
            "root_control",
            "ErrCorrectable=correctable ErrNon-Fatal=nonfatal ErrFatal=fatal "
            "PMEIntEna=pme_interrupt CRSVisible=crs_visible",
        ),
        "RootSta:": ("root_status", "PMEStatus=pme_status PMEPending=pme_pending"),
        "DevCap2:": (
            "device_capabilities2",
            "TimeoutDis=timeout_disable NROPrPrP=no_relaxed_routing LTR=ltr "
            "10BitTagComp=tag_10_completer 10BitTagReq=tag_10_requester ExtFmt=extended_format "
            "EETLPPrefix=tlp_prefix EmergencyPowerReductionInit=emergency_power_init FRS=frs "
            "ARIFwd=ari",
        ),
        "AtomicOpsCap:": (
            "device_capabilities2",
            "Routing=atomic_routing 32bit=atomic_32 64bit=atomic_64 128bitCAS=cas_128",
        ),
        "DevCtl2:": (
            "device_control2",
            "TimeoutDis=timeout_disable LTR=ltr 10BitTagReq=tag_10_requester ARIFwd=ari",
        ),
        "AtomicOpsCtl:": (
            "device_control2",
            "ReqEn=atomic_requester EgressBlck=atomic_egress_block",
        ),
        "LnkCap2:": (
            "link_capabilities2",
            "Crosslink=crosslink Retimer=retimer 2Retimers=two_retimers DRS=drs",
        ),
        "LnkCtl2:": (
            "link_control2",
            "EnterCompliance=enter_compliance SpeedDis=autonomous_speed_disable "
            "EnterModifiedCompliance=modified_compliance ComplianceSOS=compliance_sos",
        ),
        "LnkSta2:": (
            "link_status2",
            "EqualizationComplete=equalization EqualizationPhase1=phase1 "
            "EqualizationPhase2=phase2 EqualizationPhase3=phase3 "
            "LinkEqualizationRequest=equalization_request Retimer=retimer 2Retimers=two_retimers",
        ),
    },
    (0x11, False): {"MSI-X:": ("control", "Enable=enable Masked=mask")},
    (0x13, False): {
        "AFCap:": ("capabilities", "TP=transactions_pending FLR=flr"),
        "AFCtrl:": ("control", "FLR=flr"),
        "AFStatus:": ("status", "TP=transactions_pending"),
    },
    (0x14, False): {"Entry 0:": ("entry0", "Enable=enable Writable=writable")},
    (0x01, True): {
        "UESta:": ("uncorrectable_status", _UNCORRECTABLE),
        "UEMsk:": ("uncorrectable_mask", _UNCORRECTABLE),
        "UESvrt:": ("uncorrectable_severity", _UNCORRECTABLE),
        "CESta:": ("correctable_status", _CORRECTABLE),
        "CEMsk:": ("correctable_mask", _CORRECTABLE),
        "AERCap:": (
            "control",
            "ECRCGenCap=ecrc_generation_capable ECRCGenEn=ecrc_generation "
            "ECRCChkCap=ecrc_check_capable ECRCChkEn=ecrc_check "
            "MultHdrRecCap=multiple_headers_capable MultHdrRecEn=multiple_headers "
            "TLPPfxPres=prefix_log HdrLogCap=completion_timeout_log",
        ),
        "RootCmd:": ("root_command", "CERptEn=correctable NFERptEn=nonfatal FERptEn=fatal"),
        "RootSta:": (
            "root_status",
            "CERcvd=correctable MultCERcvd=multiple_correctable UERcvd=uncorrectable "
            "MultUERcvd=multiple_uncorrectable FirstFatal=first_fatal NonFatalMsg=nonfatal "
            "FatalMsg=fatal",
        ),
    },
    (0x02, True): {
        "Arb:": (
            "capabilities2",
            "Fixed=fixed WRR32=round_robin32 WRR64=round_robin64 WRR128=round_robin128",
        ),
        "Status:": ("status", "InProgress=table_loading"),
        **{
            marker: (f"vc{n}_{register}", words)
            for n in range(2)
            for marker, register, words in (
                (f"VC{n}: Caps:", "capabilities", "RejSnoopTrans=reject_snoop"),
                (f"VC{n} Arb:", "capabilities", _VC_ARBITRATION),
                (f"VC{n} Ctrl:", "control", "Enable=enable"),
                (f"VC{n} Status:", "status", "NegoPending=negotiation InProgress=table_loading"),
            )
        },
    },
    (0x0D, True): {"ACSCap:": ("capabilities", _ACS), "ACSCtl:": ("control", _ACS)},
    (0x0E, True): {
        "ARICap:": ("capabilities", "MFVC=mfvc_groups ACS=acs_groups"),
        "ARICtl:": ("control", "MFVC=mfvc_groups ACS=acs_groups"),
    },
    (0x0F, True): {"ATSCtl:": ("control", "Enable=enable")},
    (0x10, True): {
        "IOVCap:": ("capabilities", "Migration=migration 10BitTagReq=tag_10_requester"),
        "IOVCtl:": (
            "control",
            "Enable=enable Migration=migration Interrupt=migration_interrupt MSE=memory "
            "ARIHierarchy=ari 10BitTagReq=tag_10_requester",
        ),
        "IOVSta:": ("status", "Migration=migration"),
    },
    (0x12, True): {
        "McastCap:": ("capabilities", "ECRCRegen=ecrc_regeneration"),
        "McastCtl:": ("control", "Enable=enable"),
    },
    (0x13, True): {
        "PRICtl:": ("control", "Enable=enable Reset=reset"),
        "PRISta:": ("status", "RF=response_failure UPRGI=unexpected_group Stopped=stopped"),
    },
    (0x19, True): {
        "LnkCtl3:": (
            "link_control3",
            "LnkEquIntrruptEn=equalization_interrupt PerformEqu=perform_equalization",
        ),
    },
    (0x1B, True): {
        "PASIDCap:": ("capabilities", "Exec=execute Priv=privileged"),
        "PASIDCtl:": ("control", "Enable=enable Exec=execute Priv=privileged"),
    },
    (0x1D, True): {
        "DpcCap:": (
            "capabilities",
            "RPExt=root_port_extensions PoisonedTLP=poisoned_egress SwTrigger=software_trigger "
            "DL_ActiveErr=link_active_errors",
        ),
        "DpcCtl:": (
            "control",
            "Cmpl=completion INT=interrupt ErrCor=correctable PoisonedTLP=poisoned_egress "
            "SwTrigger=software_trigger DL_ActiveErr=link_active_errors",
        ),
        "DpcSta:": ("status", "Trigger=triggered INT=interrupt RPBusy=busy"),
    },
    (0x1E, True): {
        "L1SubCap:": ("capabilities", _SUBSTATES + "L1_PM_Substates=substates"),
        "L1SubCtl1:": ("control1", _SUBSTATES),
    },
    (0x1F, True): {
        "PTMCap:": ("capabilities", "Requester=requester Responder=responder Root=root"),
        "PTMControl:": ("control", "Enabled=enable RootSelected=root"),
    },
    (0x2E, True): {
        "DOECap:": ("capabilities", "IntSup=interrupt"),
        "DOECtl:": ("control", "IntEn=interrupt"),
        # Not its Error, which is another bit than the specification's (3.9).
        "DOESta:": ("status", "Busy=busy IntSta=interrupt ObjectReady=ready"),
    },
    (0x05, True): {"Link0: Desc:": ("link0", "AssocRCRB=associate_rcrb LinkValid=valid")},
}
