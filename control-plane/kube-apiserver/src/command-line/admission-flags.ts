import { UsageError } from "@coracle/base";
import type { FlagTaker } from "../access-flags.ts";
import { ADMISSION_PLUGIN_NAMES, isPluginOn } from "../admission/order.ts";

function check(flag: string, names: readonly string[]): void {
  const unknown = names.find((name) => !ADMISSION_PLUGIN_NAMES.includes(name));
  if (unknown !== undefined) throw new UsageError(`${flag} plugin ${JSON.stringify(unknown)} is unknown`);
}

/** Which admission plugins are on that are off by default, and the other way about. */
export function takeAdmissionPlugins(flags: FlagTaker): {
  readonly enable: readonly string[];
  readonly disable: readonly string[];
} {
  const enable = flags.takeList("enable-admission-plugins");
  const disable = flags.takeList("disable-admission-plugins");
  // The older flag names all that are on.
  const all = flags.takeList("admission-control");
  if (all.length > 0) {
    if (enable.length > 0 || disable.length > 0)
      throw new UsageError(
        "admission-control and enable-admission-plugins/disable-admission-plugins flags are mutually exclusive",
      );
    check("admission-control", all);
    const isOn = (name: string): boolean => isPluginOn(name, { enable: [], disable: [] });
    return {
      enable: all.filter((name) => !isOn(name)),
      disable: ADMISSION_PLUGIN_NAMES.filter((name) => isOn(name) && !all.includes(name)),
    };
  }
  check("enable-admission-plugins", enable);
  check("disable-admission-plugins", disable);
  const both = [...new Set(enable)].filter((name) => disable.includes(name)).toSorted();
  if (both.length > 0)
    throw new UsageError(`[${both.join(" ")}] in enable-admission-plugins and disable-admission-plugins overlapped`);
  return { enable, disable };
}
