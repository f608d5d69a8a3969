import { describe, expect, it } from "vitest";
import { applyConflict } from "./field-ownership.ts";

describe("conflicts of an apply", () => {
  it("are all named, however many fields a request can hold", () => {
    const owner = { manager: "m", operation: "Apply", apiVersion: "v1", subresource: "", time: undefined, fields: {} };
    const conflicts = Array.from({ length: 400_000 }, (_, i) => ({ owner, path: `.data.k${i}` }));
    const { status } = applyConflict(conflicts as never);
    expect(status.message).toContain('Apply failed with 400000 conflicts: conflicts with "m":\n- .data.k0\n');
    expect(status.details?.causes).toHaveLength(400_000);
  });
});
