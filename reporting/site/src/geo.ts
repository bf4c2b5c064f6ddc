// GeoJSON as lines on a page: no map below, so nothing is loaded for it.
type Position = number[];

export interface Shape {
  kind: "area" | "line" | "point";
  rings: Position[][];
}

const MOST_POINTS = 50_000;

export function isGeo(value: unknown): boolean {
  const type = (value as { type?: unknown } | null)?.type;
  return (
    (type === "FeatureCollection" && "features" in (value as object)) ||
    (type === "Feature" && "geometry" in (value as object)) ||
    (KINDS.has(String(type)) && "coordinates" in (value as object))
  );
}

const KINDS = new Map<string, [kind: Shape["kind"], depth: number]>([
  ["Point", ["point", 0]],
  ["MultiPoint", ["point", 1]],
  ["LineString", ["line", 1]],
  ["MultiLineString", ["line", 2]],
  ["Polygon", ["area", 2]],
  ["MultiPolygon", ["area", 3]],
]);

/** The shapes of a GeoJSON value, each as lists of positions; what is not as it should be is left out. */
export function shapesOf(value: unknown): Shape[] {
  const shapes: Shape[] = [];
  let left = MOST_POINTS;
  const position = (item: unknown): item is Position =>
    Array.isArray(item) && Number.isFinite(item[0]) && Number.isFinite(item[1]);
  const rings = (item: unknown, depth: number): Position[][] => {
    if (!Array.isArray(item)) return [];
    if (depth === 0) return position(item) && left-- > 0 ? [[item]] : [];
    if (depth > 1) return item.flatMap((one) => rings(one, depth - 1));
    const ring = item.filter(position).slice(0, Math.max(0, left));
    left -= ring.length;
    return ring.length ? [ring] : [];
  };
  const add = (one: unknown): void => {
    const { type, geometry, features, geometries, coordinates } = (one ?? {}) as Record<string, unknown>;
    if (Array.isArray(features)) features.forEach(add);
    else if (Array.isArray(geometries)) geometries.forEach(add);
    else if (geometry) add(geometry);
    else {
      const known = KINDS.get(String(type));
      const found = known ? rings(coordinates, known[1]) : [];
      if (known && found.length) shapes.push({ kind: known[0], rings: found });
    }
  };
  add(value);
  return shapes;
}

export interface Frame {
  width: number;
  height: number;
  to: (position: Position) => [x: number, y: number];
}

/** How positions lie on a page of some width: degrees of longitude are as long as they are in the middle of the shapes. */
export function frameOf(shapes: readonly Shape[], width: number): Frame | undefined {
  let [west, east, south, north] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const [x, y] of shapes.flatMap((shape) => shape.rings.flat()) as [number, number][]) {
    [west, east] = [Math.min(west, x), Math.max(east, x)];
    [south, north] = [Math.min(south, y), Math.max(north, y)];
  }
  if (west > east) return undefined;
  const isDegrees = west >= -180 && east <= 180 && south >= -90 && north <= 90;
  const shrink = isDegrees ? Math.max(0.05, Math.cos((((south + north) / 2) * Math.PI) / 180)) : 1;
  const [wide, high] = [(east - west) * shrink || 1e-9, north - south || 1e-9];
  const edge = 8;
  const scale = Math.min((width - 2 * edge) / wide, (0.75 * width) / high);
  return {
    width,
    height: high * scale + 2 * edge,
    to: ([x, y]) => [edge + (x! - west) * shrink * scale, edge + (north - y!) * scale],
  };
}

/** The path of a shape; a point is a small circle. */
export function pathOf({ kind, rings }: Shape, { to }: Frame): string {
  const at = (position: Position) =>
    to(position)
      .map((item) => item.toFixed(1))
      .join(" ");
  if (kind === "point")
    return rings.map(([point]) => `M${at(point!)}m-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0`).join("");
  return rings.map((ring) => `M${ring.map(at).join("L")}${kind === "area" ? "Z" : ""}`).join("");
}
