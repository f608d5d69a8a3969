import type { AdmissionAttributes, AdmissionChain, Reinvocation } from "../registry/registry.ts";
import { resourceOf, type AdmissionPlugin } from "./plugin.ts";

interface Selected {
  readonly mutating: readonly AdmissionPlugin[];
  readonly validating: readonly AdmissionPlugin[];
}

/** Runs the plugins in their order. Which of them a kind of request concerns is found out once. */
export function createAdmissionChain(plugins: readonly AdmissionPlugin[]): AdmissionChain {
  const selected = new Map<string, Selected>();

  function select(attributes: AdmissionAttributes): Selected {
    const resource = resourceOf(attributes);
    const key = `${attributes.operation} ${resource}`;
    let found = selected.get(key);
    if (found === undefined) {
      const concerned = plugins.filter(
        ({ scope }) =>
          scope.operations.includes(attributes.operation) &&
          (scope.resources === undefined || scope.resources.includes(resource)),
      );
      found = {
        mutating: concerned.filter((plugin) => plugin.admit !== undefined),
        validating: concerned.filter((plugin) => plugin.validate !== undefined),
      };
      selected.set(key, found);
    }
    return found;
  }

  return {
    async admit(attributes) {
      const { mutating } = select(attributes);
      const reinvocation: Reinvocation = { isSecond: false, isWanted: false, memory: new Map() };
      const seen = { ...attributes, reinvocation };
      const run = async (): Promise<void> => {
        for (const plugin of mutating) {
          const pending = plugin.admit!(seen);
          if (pending !== undefined) await pending;
        }
      };
      await run();
      if (!reinvocation.isWanted) return;
      reinvocation.isSecond = true;
      await run();
    },
    async validate(attributes) {
      for (const plugin of select(attributes).validating) {
        const pending = plugin.validate!(attributes);
        if (pending !== undefined) await pending;
      }
    },
  };
}
