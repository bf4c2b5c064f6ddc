// GeoJSON as an outline, and its text below.
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { plural } from "./format.ts";
import { frameOf, pathOf, shapesOf } from "./geo.ts";
import { JsonView } from "./json_view.tsx";

export function GeoView({ value, name }: { value: unknown; name: string }): JSX.Element {
  const shapes = useMemo(() => shapesOf(value), [value]);
  const frame = frameOf(shapes, 800);
  return (
    <>
      {frame && (
        <svg
          class="map"
          viewBox={`0 0 ${frame.width} ${frame.height.toFixed(1)}`}
          role="img"
          aria-label={`${name}: ${plural(shapes.length, "shape")}`}
        >
          {shapes.map((shape) => (
            <path class={`of-${shape.kind}`} d={pathOf(shape, frame)} />
          ))}
        </svg>
      )}
      <JsonView value={value} />
    </>
  );
}
