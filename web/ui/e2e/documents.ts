// Two small documents to upload.

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
