import type { OciSeccomp } from "./runtime-spec.ts";

/** System calls that reach beyond the container, by the capability that would allow them. */
const GUARDED: Readonly<Record<string, readonly string[]>> = {
  CAP_SYS_ADMIN: [
    "bpf",
    "fanotify_init",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "lookup_dcookie",
    "mount",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "perf_event_open",
    "pivot_root",
    "quotactl",
    "quotactl_fd",
    "setdomainname",
    "sethostname",
    "setns",
    "swapoff",
    "swapon",
    "umount",
    "umount2",
    "unshare",
  ],
  CAP_SYS_BOOT: ["reboot", "kexec_load", "kexec_file_load"],
  CAP_SYS_MODULE: ["create_module", "delete_module", "finit_module", "init_module", "query_module", "get_kernel_syms"],
  CAP_SYS_PACCT: ["acct"],
  CAP_SYS_RAWIO: ["ioperm", "iopl"],
  CAP_SYS_TIME: ["adjtimex", "clock_adjtime", "clock_settime", "settimeofday", "stime"],
  CAP_SYS_TTY_CONFIG: ["vhangup"],
  CAP_SYS_NICE: ["get_mempolicy", "mbind", "set_mempolicy", "move_pages", "migrate_pages"],
  CAP_SYS_PTRACE: ["kcmp", "process_madvise"],
  CAP_DAC_READ_SEARCH: ["open_by_handle_at"],
  CAP_SYSLOG: ["syslog"],
};

/** Never useful inside: not aware of namespaces, obsolete, or a standing source of kernel faults. */
const NEVER = [
  "_sysctl",
  "add_key",
  "io_uring_enter",
  "io_uring_register",
  "io_uring_setup",
  "keyctl",
  "nfsservctl",
  "request_key",
  "sysfs",
  "uselib",
  "userfaultfd",
  "ustat",
  "vm86",
  "vm86old",
];

const EPERM = 1;
const ENOSYS = 38;
/** CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET */
const NAMESPACE_FLAGS = 0x7e02_0000;

/**
 * The RuntimeDefault profile: everything that ordinary programs do is allowed; what would leave the container, load
 * code into the kernel or make new namespaces is refused, unless the container has the capability for it.
 */
export function defaultSeccompProfile(capabilities: readonly string[]): OciSeccomp {
  const refused = [...NEVER];
  for (const [capability, names] of Object.entries(GUARDED)) {
    if (!capabilities.includes(capability)) refused.push(...names);
  }
  const isAdmin = capabilities.includes("CAP_SYS_ADMIN");
  return {
    defaultAction: "SCMP_ACT_ALLOW",
    architectures:
      process.arch === "arm64" ? ["SCMP_ARCH_AARCH64"] : ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    syscalls: [
      { names: refused, action: "SCMP_ACT_ERRNO", errnoRet: EPERM },
      ...(isAdmin
        ? []
        : [
            // A filter cannot look into clone3's structure; "not there" makes the C library fall back to clone.
            { names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: ENOSYS },
            ...NAMESPACE_BITS.map((bit) => ({
              names: ["clone"],
              action: "SCMP_ACT_ERRNO",
              errnoRet: EPERM,
              args: [{ index: 0, value: bit, valueTwo: bit, op: "SCMP_CMP_MASKED_EQ" }],
            })),
          ]),
    ],
  };
}

const NAMESPACE_BITS = Array.from({ length: 31 }, (_, bit) => 2 ** bit).filter((bit) => (NAMESPACE_FLAGS & bit) !== 0);
