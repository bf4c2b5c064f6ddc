// Executions with the same key that left other outputs: what they run is not deterministic.

/** `results` has the key and the digest of the outputs of each execution; the numbers of those with `key`, where they disagree. */
export function disagreeing(results: readonly (string | null | undefined)[], key: string): number[] {
  const found = results.flatMap((result, run) => {
    const [of, outputs] = result?.split(" ") ?? [];
    return of === key.slice(0, 16) ? [{ run, outputs }] : [];
  });
  return found.some((one) => one.outputs !== found[0]!.outputs) ? found.map((one) => one.run) : [];
}
