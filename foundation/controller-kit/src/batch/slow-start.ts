/**
 * Runs `count` calls in batches of 1, 2, 4 … and stops after the first batch in which one failed: when the server
 * refuses (quota), it is asked once and not `count` times.
 */
export async function slowStart(
  count: number,
  call: (index: number) => Promise<void>,
): Promise<{ readonly succeeded: number; readonly skipped: number; readonly failure: unknown }> {
  let begun = 0;
  let succeeded = 0;
  for (let size = 1; begun < count; size *= 2) {
    const batch = Math.min(size, count - begun);
    const results = await Promise.allSettled(Array.from({ length: batch }, async (_, i) => call(begun + i)));
    begun += batch;
    let failure: unknown;
    for (const result of results) {
      if (result.status === "fulfilled") succeeded++;
      else failure ??= result.reason;
    }
    if (failure !== undefined) return { succeeded, skipped: count - begun, failure };
  }
  return { succeeded, skipped: 0, failure: undefined };
}
