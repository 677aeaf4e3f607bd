/**
 * A language that `Intl` knows. Without one (a browser that was started with the locale C says `en-US@posix`) the first
 * `Intl.NumberFormat(navigator.language)` throws, and a chart library's is enough to leave the page blank.
 *
 * Import this first.
 */

export const USUAL = "en-US";

/** The language, or a usual one in its place where `Intl` does not know it. */
export function known(language: string | undefined): string {
  try {
    return Intl.getCanonicalLocales(language)[0] ?? USUAL;
  } catch {
    return USUAL;
  }
}

if (typeof navigator !== "undefined" && known(navigator.language) !== navigator.language) {
  Object.defineProperty(navigator, "language", { value: known(navigator.language), configurable: true });
}
