/** @returns code by file name; nothing is written without `dir` */
export function bundleLibrary(dir?: string): Promise<Record<string, string>>;
