/** Turns an interrupt into an exit, so that what was registered with `atExit` ends, too. */
export function exitWhenInterrupted(): void {
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));
}

/** Runs a synchronous action when the program exits, unless it was taken back before. */
export function atExit(action: () => void): () => void {
  process.once("exit", action);
  return () => process.removeListener("exit", action);
}
