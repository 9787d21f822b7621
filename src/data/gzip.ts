/** Gzip (RFC 1952) by the platform's own decompressor; safe in a browser. */
import { DataError } from "../config/errors.ts";

/** Whether the bytes begin as a gzip file does. */
export function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/**
 * The content of a gzip file; its checksum and length are checked.
 * @param file its name, for errors
 * @throws DataError when it is no gzip file, is cut short, or its checksum does not fit
 */
export async function gunzip(bytes: Uint8Array<ArrayBuffer>, file: string): Promise<Uint8Array<ArrayBuffer>> {
  const content = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  try {
    return new Uint8Array(await new Response(content).arrayBuffer());
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new DataError(file, `must be a complete gzip file (${bytes.length} bytes read): ${reason}`);
  }
}
