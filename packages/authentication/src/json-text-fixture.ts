import { fc } from "@fairlead/fuzzing";

/** A value that no claim or header parameter should have, as JSON. */
const odd: fc.Arbitrary<string> = fc.oneof(
  fc.json({ maxDepth: 2 }),
  fc.constantFrom("null", "true", "-1", "1e308", "1e999", "0.5", '""', '" "', '"\\u0000"', '"\\ud800"', "[]", "{}"),
  fc.nat({ max: 20_000 }).map((depth) => "[".repeat(depth) + "]".repeat(depth)),
);

/**
 * The text of a JSON object, in which a name may be there twice.
 *
 * @param usual what each has, as JSON; now and then something of it is missing
 * @param others what it may have besides, by name: values as JSON. Each may have an odd value, too, and so may the usual
 */
export function objectText(
  usual: Readonly<Record<string, string>>,
  others: Readonly<Record<string, readonly string[]>>,
): fc.Arbitrary<string> {
  const names = [...new Set([...Object.keys(usual), ...Object.keys(others), "__proto__"])];
  const other = fc.constantFrom(...names).chain((name) => {
    const due = others[name] ?? [];
    const value =
      due.length > 0 ? fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...due) }, { weight: 1, arbitrary: odd }) : odd;
    return fc.tuple(fc.constant(name), value);
  });
  const missing = fc.oneof(
    { weight: 4, arbitrary: fc.constant("") },
    { weight: 1, arbitrary: fc.constantFrom(...names) },
  );
  return fc.tuple(missing, fc.array(other, { maxLength: 3 }), fc.boolean()).map(([left, added, isBefore]) => {
    const kept = Object.entries(usual).filter(([name]) => name !== left);
    const members = isBefore ? [...added, ...kept] : [...kept, ...added];
    return `{${members.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(",")}}`;
  });
}

/** A part of a JWT from its text. */
export function base64url(text: string): string {
  return Buffer.from(text).toString("base64url");
}
