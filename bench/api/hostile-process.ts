// A hostile client: a process of its own, so that what it does takes no time from the others.
import { hostileOf } from "./hostile-clients.ts";
import type { HostileJob } from "./hostile-load.ts";

process.on("message", ({ name, target }: HostileJob) => {
  hostileOf(name)
    .begin(target)
    .then(
      () => process.send?.("begun"),
      (error: unknown) => process.send?.(String(error)),
    );
});
process.on("disconnect", () => process.exit(0));
