import assert from "node:assert/strict";
import { test } from "node:test";
import { known, USUAL } from "./language.ts";

test("a language that Intl knows stays, one that it does not know becomes a usual one", () => {
  assert.equal(known("de-CH"), "de-CH");
  for (const strange of ["en-US@posix", "C", "", undefined]) assert.equal(known(strange), USUAL);
  for (const each of ["de-CH", "en-US@posix"]) new Intl.NumberFormat(known(each));
});
