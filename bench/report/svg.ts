/** Scalable vector graphics as text: elements, a page's frame, and the colours of both its modes. */

export type Attributes = Readonly<Record<string, string | number | undefined>>;

export function escapeText(text: string): string {
  return text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

/** Children are elements already; text goes through `escapeText` first. */
export function element(name: string, attributes: Attributes, ...children: string[]): string {
  const list = Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) =>
      ` ${key}="${typeof value === "number" ? tidy(value) : escapeText(value!)}"`
    );
  const open = `<${name}${list.join("")}`;
  return children.length === 0 ? `${open}/>` : `${open}>${children.join("")}</${name}>`;
}

export function text(
  x: number,
  y: number,
  content: string,
  attributes: Attributes = {},
): string {
  return element("text", { x, y, ...attributes }, escapeText(content));
}

/** A tenth of a pixel is more than anybody sees. */
function tidy(value: number): string {
  return String(Math.round(value * 10) / 10);
}

/** Told apart by those who do not see red and green (after Okabe and Ito), on white and on near black. */
const LIGHT = [
  "#0072b2",
  "#3d9fd6",
  "#c4500a",
  "#d98e04",
  "#00815f",
  "#b3589a",
  "#7a6a00",
  "#767676",
  "#9a9a9a",
  "#8f2d2d",
];
const DARK = [
  "#4db2f0",
  "#9fd6fa",
  "#ff8a4c",
  "#f5c04a",
  "#3fcfa4",
  "#e695cb",
  "#d8c64a",
  "#9b9b9b",
  "#7d7d7d",
  "#f08c8c",
];

export const COLOR_COUNT = LIGHT.length;

function colors(palette: readonly string[]): string {
  return palette.map((color, index) => `.f${index}{fill:${color}}.s${index}{stroke:${color}}`)
    .join("");
}

const STYLE =
  `text{font:12px system-ui,sans-serif;fill:#1f2328}.h{font-weight:600;font-size:14px}` +
  `.m{fill:#59636e}.e{text-anchor:end}.c{text-anchor:middle}.g{stroke:#d1d9e0;stroke-width:1}` +
  `.w{stroke:#1f2328;stroke-width:1.2}.l{fill:none;stroke-width:1.8}.bg{fill:#fff}${
    colors(LIGHT)
  }` +
  `@media(prefers-color-scheme:dark){text{fill:#e6edf3}.m{fill:#9198a1}.g{stroke:#30363d}` +
  `.w{stroke:#e6edf3}.bg{fill:#0d1117}${colors(DARK)}}`;

export interface Frame {
  width: number;
  height: number;
  /** Drawn at the top. */
  title: string;
  /** Drawn below it: the unit, and which direction is better. */
  subtitle: string;
}

/** A whole file, with a background of its own, because a page in one mode may show an image in the other. */
export function svgDocument(
  { width, height, title, subtitle }: Frame,
  content: readonly string[],
): string {
  return element(
    "svg",
    {
      xmlns: "http://www.w3.org/2000/svg",
      viewBox: `0 0 ${Math.ceil(width)} ${Math.ceil(height)}`,
      width: Math.ceil(width),
      height: Math.ceil(height),
      role: "img",
    },
    element("title", {}, escapeText(`${title}: ${subtitle}`)),
    element("style", {}, STYLE),
    element("rect", { class: "bg", width: "100%", height: "100%" }),
    text(16, 24, title, { class: "h" }),
    text(16, 42, subtitle, { class: "m" }),
    "\n",
    content.join("\n"),
    "\n",
  ) + "\n";
}
