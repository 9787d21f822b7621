import { type Digits, parseDigits } from "../../../src/data/digits_text.ts";
import { gunzip, isGzip } from "../../../src/data/gzip.ts";

let digits: Promise<Digits> | undefined;

/** The handwritten digits that ship with the package, fetched once. */
export function loadDigits(): Promise<Digits> {
  digits ??= fetchDigits().catch((error: unknown) => {
    digits = undefined;
    throw error;
  });
  return digits;
}

async function fetchDigits(): Promise<Digits> {
  const url = new URL("../../../data/digits.csv.gz", import.meta.url);
  const response = await fetch(url);
  if (!response.ok) throw new Error(`digits: ${response.status} ${response.statusText} for ${url.pathname}`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  // Some servers send the file as a text that the browser has unpacked already.
  const text = new TextDecoder().decode(isGzip(bytes) ? await gunzip(bytes, "digits.csv.gz") : bytes);
  return parseDigits(text, "digits.csv.gz");
}
