import type { MarketFile } from "agio-sdk";

/** Hand a file to the browser to save. */
export async function saveFile(file: MarketFile): Promise<void> {
  const address = URL.createObjectURL(await file.blob());
  const link = document.createElement("a");
  link.href = address;
  link.download = file.name;
  link.click();
  URL.revokeObjectURL(address);
}
