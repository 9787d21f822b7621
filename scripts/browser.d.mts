import type { Browser } from "playwright-core";
export function findBrowser(): { executablePath: string; env: Readonly<Record<string, string>> };
export function launchBrowser(options?: { webgpu?: boolean; args?: readonly string[] }): Promise<Browser>;
