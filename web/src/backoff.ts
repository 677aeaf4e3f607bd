// How long to wait before the next attempt to connect.

export const FIRST = 500;
export const LONGEST = 8_000;

/**
 * Milliseconds before attempt `attempt` (from 0): doubled each time up to the longest, of which a random half is taken
 * off, so that pages that lost the same gateway do not come back in one crowd ("equal jitter", as AWS calls it).
 *
 * @param chance from 0 up to 1
 */
export function pause(attempt: number, chance: number): number {
  const whole = Math.min(LONGEST, FIRST * 2 ** Math.min(attempt, 16));
  return whole / 2 + (whole / 2) * chance;
}
