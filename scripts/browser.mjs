// A browser with WebGPU for tests and measurements, without a system package where npm brought one: the Chromium inside the optional
// package @sparticuz/chromium (linux-x64; its SwiftShader is the one Node's tests use), unpacked once into the cache folder.
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliDecompressSync } from "node:zlib";
import { chromium } from "playwright-core";

const INSTALLED = [
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/** @returns the program and the environment it needs, or throws with what to install */
export function findBrowser() {
  const chosen = process.env.CHROME_PATH;
  if (chosen) {
    if (!isProgram(chosen)) throw new Error(`CHROME_PATH must name a program, got ${chosen}`);
    return { executablePath: chosen, env: {} };
  }
  const fromNpm = unpackedBrowser();
  if (fromNpm) return fromNpm;
  const installed = INSTALLED.find(isProgram);
  if (installed) return { executablePath: installed, env: {} };
  throw new Error(
    "no browser with WebGPU: npm brings one for linux-x64 (npm i @sparticuz/chromium); elsewhere install Chromium or Chrome " +
      "(Debian: apt-get install chromium) or name one in CHROME_PATH",
  );
}

/** Starts it headless, with WebGPU on its software adapter where there is no GPU; with `webgpu: false` as it comes. */
export async function launchBrowser(options = {}) {
  const { executablePath, env } = findBrowser();
  // Node's own Vulkan driver is not the browser's; in the C locale Chromium calls its language en-US@posix, which Intl refuses.
  const { VK_DRIVER_FILES: _, VK_ICD_FILENAMES: __, ...inherited } = process.env;
  return chromium.launch({
    executablePath,
    env: { ...inherited, LANG: "en_US.UTF-8", LC_ALL: "en_US.UTF-8", LANGUAGE: "en_US", ...env },
    args: [
      ...(options.webgpu === false ? [] : ["--enable-unsafe-webgpu"]),
      ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
      ...(options.args ?? []),
    ],
  });
}

function isProgram(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function unpackedBrowser() {
  if (process.platform !== "linux" || process.arch !== "x64") return undefined;
  const here = fileURLToPath(import.meta.url);
  const roots = createRequire(here).resolve.paths("@sparticuz/chromium") ?? [];
  const folder = roots
    .map((root) => join(root, "@sparticuz/chromium"))
    .find((path) => existsSync(join(path, "bin/chromium.br")));
  if (!folder) return undefined;
  const { version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "deeplimit");
  const target = join(cache, `chromium-${version}`);
  if (!existsSync(join(target, "chromium"))) unpack(join(folder, "bin"), target);
  return {
    executablePath: join(target, "chromium"),
    env: { LD_LIBRARY_PATH: join(target, "lib"), FONTCONFIG_FILE: join(target, "fonts.conf") },
  };
}

/** Into a folder of its own, renamed when it is whole: several test processes may come here at once. */
function unpack(archives, target) {
  const temporary = `${target}.${process.pid}`;
  mkdirSync(temporary, { recursive: true });
  const bytes = (name) => brotliDecompressSync(readFileSync(join(archives, name)));
  writeFileSync(join(temporary, "chromium"), bytes("chromium.br"), { mode: 0o755 });
  for (const name of ["al2023.tar.br", "swiftshader.tar.br", "fonts.tar.br"]) {
    const { status, stderr } = spawnSync("tar", ["-x", "-C", temporary], { input: bytes(name) });
    if (status !== 0) throw new Error(`${join(archives, name)} could not be unpacked: ${stderr}`);
  }
  writeFileSync(
    join(temporary, "fonts.conf"),
    `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig><dir>/usr/share/fonts</dir><dir>${join(target, "fonts")}</dir><cachedir>${join(target, "font-cache")}</cachedir></fontconfig>\n`,
  );
  try {
    renameSync(temporary, target);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    if (!existsSync(join(target, "chromium"))) throw error;
  }
}
