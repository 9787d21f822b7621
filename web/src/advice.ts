/** What to do where there is no WebGPU, by browser. */
export function advice(agent: string, secure: boolean): readonly string[] {
  if (!secure) return ["Open this page over https or from localhost: browsers offer WebGPU to secure pages only."];
  if (/Firefox\//.test(agent))
    return [
      "Firefox 141 and later offer WebGPU on Windows, 145 and later on Macs with Apple silicon: update Firefox.",
      "Elsewhere, open about:config, set dom.webgpu.enabled to true, and reload this page.",
    ];
  if (/Edg\/|Chrome\/|Chromium\//.test(agent))
    return [
      "Chrome and Edge offer WebGPU since version 113 on Windows, macOS and ChromeOS, and since 121 on Android: update the browser.",
      "On Linux, or with an older graphics driver, open chrome://flags, enable “Unsafe WebGPU Support”, and start the browser again.",
      "chrome://gpu says why WebGPU is off. Without a GPU, start Chromium with --enable-unsafe-webgpu: it then computes on the processor.",
    ];
  if (/Safari\//.test(agent))
    return [
      "Safari offers WebGPU since version 26 (macOS, iOS and iPadOS 26): update the system.",
      "In Safari 18, switch on WebGPU under Develop, Feature Flags (macOS) or Settings, Safari, Advanced, Feature Flags (iOS).",
    ];
  return ["Use a current Chrome, Edge, Firefox or Safari."];
}
