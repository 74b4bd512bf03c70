// Small documents to upload.
import { createHash } from "node:crypto";

export const handbook = {
  name: "night-shift.md",
  mimeType: "text/markdown",
  text: `# Night shift guide

## Lighthouse keys

The brass key opens the lamp room 🔑. It hangs on the hook behind the kitchen door.

## Fog signal

Sound the fog signal every 90 seconds when the visibility falls below two nautical miles.

| Signal | Interval |
|---|---|
| Fog horn | 90 seconds |
| Bell | 15 seconds |

## Supplies

- Lamp oil is delivered on the first Monday of each month.
- Bread comes every second day by boat.
`,
};

export const chinese = {
  name: "灯塔值班手册.md",
  mimeType: "text/markdown",
  text: `# 灯塔值班手册

## 年假规定

😀 值班员每年享有十八天带薪年假。年假须提前三周向站长申请。

## 报销

船票报销须在三十天内提交发票。
`,
};

/** Carries what a hostile document may. */
export const hostile = {
  name: "hostile.md",
  mimeType: "text/markdown",
  text: `# Harbour dues

<img src=x onerror="window.hacked = true"> <script>window.hacked = true</script>

The harbour dues for fishing boats are 14 crowns a night. [click](javascript:window.hacked=true)
`,
};

const padding = Buffer.from(
  "28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a",
  "hex",
);

function rc4(key: Buffer, data: Buffer): Buffer {
  const s = Array.from({ length: 256 }, (_, i) => i);
  const at = (i: number) => s[i & 255] ?? 0;
  const swap = (i: number, j: number) => {
    [s[i], s[j]] = [at(j), at(i)];
  };
  for (let i = 0, j = 0; i < 256; i++) {
    j = (j + at(i) + (key[i % key.length] ?? 0)) & 255;
    swap(i, j);
  }
  let i = 0;
  let j = 0;
  return data.map((byte) => {
    i = (i + 1) & 255;
    j = (j + at(i)) & 255;
    swap(i, j);
    return byte ^ at(at(i) + at(j));
  }) as Buffer;
}

const md5 = (...parts: Buffer[]) =>
  createHash("md5").update(Buffer.concat(parts)).digest().subarray(0, 5);

/** Puts a PDF together; the first object is its catalog. */
function pdfFile(objects: (string | Buffer)[], trailer = ""): Buffer {
  let file = Buffer.from("%PDF-1.4\n");
  const offsets: number[] = [];
  for (const [i, object] of objects.entries()) {
    offsets.push(file.length);
    file = Buffer.concat([
      file,
      Buffer.from(`${i + 1} 0 obj\n`),
      Buffer.from(object),
      Buffer.from("\nendobj\n"),
    ]);
  }
  const size = objects.length + 1;
  const table = offsets.map((at) => `${String(at).padStart(10, "0")} 00000 n \n`).join("");
  return Buffer.concat([
    file,
    Buffer.from(
      `xref\n0 ${size}\n0000000000 65535 f \n${table}trailer\n<</Size ${size}/Root 1 0 R${trailer}>>\nstartxref\n${file.length}\n%%EOF\n`,
    ),
  ]);
}

/** A PDF of a page with a line of text, and of one on which something is drawn, as of a scan. */
export function partlyScannedPDF(line: string): Buffer {
  const page = (contents: number) =>
    `<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>/Contents ${contents} 0 R>>`;
  const stream = (text: string) => `<</Length ${text.length}>>stream\n${text}\nendstream`;
  return pdfFile([
    "<</Type/Catalog/Pages 2 0 R>>",
    "<</Type/Pages/Kids[3 0 R 4 0 R]/Count 2>>",
    page(5),
    page(6),
    stream(`BT /F1 14 Tf 60 700 Td (${line}) Tj ET`),
    stream("72 72 400 600 re f"),
  ]);
}

/** A message with a file attached. */
export function mailWith(text: string, name: string, file: Buffer): Buffer {
  const lines = [
    "From: ann@example.com",
    "Subject: The survey",
    "MIME-Version: 1.0",
    "Content-Type: multipart/mixed; boundary=x",
    "",
    "--x",
    "",
    text,
    "--x",
    `Content-Disposition: attachment; filename=${name}`,
    "Content-Type: application/octet-stream",
    "Content-Transfer-Encoding: base64",
    "",
    file.toString("base64"),
    "--x--",
    "",
  ];
  return Buffer.from(lines.join("\r\n"));
}

/** A PDF of one line that opens with a password only (PDF 1.7, 7.6.3: standard handler, revision 2). */
export function lockedPDF(password: string, line: string): Buffer {
  const padded = Buffer.concat([Buffer.from(password, "latin1"), padding]).subarray(0, 32);
  const owner = rc4(md5(padded), padded);
  const id = Buffer.alloc(16, 7);
  const key = md5(padded, owner, Buffer.from([0xfc, 0xff, 0xff, 0xff]), id);
  const content = Buffer.from(`BT /F1 14 Tf 60 700 Td (${line}) Tj ET`, "latin1");
  const contentKey = createHash("md5")
    .update(Buffer.concat([key, Buffer.from([4, 0, 0, 0, 0])]))
    .digest()
    .subarray(0, 10);
  const objects = [
    "<</Type/Catalog/Pages 2 0 R>>",
    "<</Type/Pages/Kids[3 0 R]/Count 1>>",
    "<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>/Contents 4 0 R>>",
    Buffer.concat([
      Buffer.from(`<</Length ${content.length}>>stream\n`),
      rc4(contentKey, content),
      Buffer.from("\nendstream"),
    ]),
    `<</Filter/Standard/V 1/R 2/P -4/O<${owner.toString("hex")}>/U<${rc4(key, padding).toString("hex")}>>>`,
  ];
  const hex = id.toString("hex");
  return pdfFile(objects, `/Encrypt 5 0 R/ID[<${hex}><${hex}>]`);
}
