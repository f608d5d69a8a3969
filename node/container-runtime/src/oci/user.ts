import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { LinuxContainerSecurityContext } from "@coracle/api/cri";
import { CriError } from "../cri-error.ts";
import type { OciUser } from "./runtime-spec.ts";

interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

interface GroupEntry {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

/** The accounts of an image. */
export interface Accounts {
  readonly users: readonly PasswdEntry[];
  readonly groups: readonly GroupEntry[];
}

/** Who a process runs as, and where its home is. */
export interface ResolvedUser extends OciUser {
  readonly home: string;
}

/** Reads /etc/passwd and /etc/group as text; malformed lines are left out. */
export function parseAccounts(passwd: string, group: string): Accounts {
  const users: PasswdEntry[] = [];
  for (const line of passwd.split("\n")) {
    const [name = "", , uid = "", gid = "", , home = ""] = line.split(":");
    if (/^\d+$/.test(uid) && /^\d+$/.test(gid)) users.push({ name, uid: Number(uid), gid: Number(gid), home });
  }
  const groups: GroupEntry[] = [];
  for (const line of group.split("\n")) {
    const [name = "", , gid = "", members = ""] = line.split(":");
    if (/^\d+$/.test(gid)) groups.push({ name, gid: Number(gid), members: members.split(",").filter((m) => m !== "") });
  }
  return { users, groups };
}

/** The accounts below an image's root; absolute links in /etc are not followed out of it. */
export async function readAccounts(rootfs: string): Promise<Accounts> {
  const read = (name: string): Promise<string> => readFile(join(rootfs, "etc", name), "utf8").catch(() => "");
  return parseAccounts(await read("passwd"), await read("group"));
}

/** Applies the security context over the image's `User`. */
export function resolveUser(
  accounts: Accounts,
  imageUser: string,
  context: LinuxContainerSecurityContext,
): ResolvedUser {
  const [imageName = "", imageGroup = ""] = imageUser.split(":");
  let wanted = imageName;
  let wantedGroup = imageGroup;
  if (context.runAsUser !== undefined) {
    wanted = String(context.runAsUser.value ?? 0);
    wantedGroup = "";
  } else if ((context.runAsUsername ?? "") !== "") {
    wanted = context.runAsUsername ?? "";
    wantedGroup = "";
  }
  const entry =
    wanted === ""
      ? accounts.users.find((user) => user.uid === 0)
      : (accounts.users.find((user) => user.name === wanted) ??
        (/^\d+$/.test(wanted) ? accounts.users.find((user) => user.uid === Number(wanted)) : undefined));
  if (entry === undefined && wanted !== "" && !/^\d+$/.test(wanted)) {
    throw new CriError("UNKNOWN", `unable to find user ${wanted}: no matching entries in passwd file`);
  }
  const uid = entry?.uid ?? (wanted === "" ? 0 : Number(wanted));
  let gid = entry?.gid ?? 0;
  if (wantedGroup !== "") {
    const group = accounts.groups.find((g) => g.name === wantedGroup);
    if (group === undefined && !/^\d+$/.test(wantedGroup)) {
      throw new CriError("UNKNOWN", `unable to find group ${wantedGroup}: no matching entries in group file`);
    }
    gid = group?.gid ?? Number(wantedGroup);
  }
  if (context.runAsGroup !== undefined) gid = context.runAsGroup.value ?? 0;
  const additional = new Set<number>([gid, ...(context.supplementalGroups ?? [])]);
  if (context.supplementalGroupsPolicy !== "Strict" && entry !== undefined) {
    for (const group of accounts.groups) if (group.members.includes(entry.name)) additional.add(group.gid);
  }
  return {
    uid,
    gid,
    additionalGids: [...additional],
    home: entry?.home === undefined || entry.home === "" ? "/" : entry.home,
  };
}
