// A chart of a result: sums or counts by a field, drawn by uPlot, which is loaded with this file.

import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

export interface Series {
  label: string;
  /** Categories have names; a continuous axis has numbers or times in seconds. */
  x: (number | string)[];
  y: number[];
  time: boolean;
}

const HEIGHT_PX = 320;

export function Chart({ of }: { of: Series }) {
  const host = useRef<HTMLDivElement>(null);
  // A drawing keeps the colours it was drawn with: drawn again when they change.
  const looks = useSignal(0);
  useEffect(() => {
    const changed = () => void looks.value++;
    const dark = matchMedia('(prefers-color-scheme: dark)');
    dark.addEventListener('change', changed);
    const theme = new MutationObserver(changed);
    theme.observe(document.documentElement, { attributeFilter: ['data-theme'] });
    return () => {
      dark.removeEventListener('change', changed);
      theme.disconnect();
    };
  }, []);
  useEffect(() => {
    const element = host.current;
    if (!element) return;
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string) => {
      // light-dark() is resolved where it is used as a colour.
      element.style.color = `var(${name})`;
      return getComputedStyle(element).color;
    };
    const [ink, line, accent] = [colour('--ink-soft'), colour('--line'), colour('--accent')];
    element.style.color = '';
    const named = of.x.some((one) => typeof one === 'string');
    const xs = named ? of.x.map((_, at) => at) : (of.x as number[]);
    const bars = uPlot.paths.bars?.({ size: [0.7, 60] });
    const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: `12px ${style.fontFamily}` };
    const plot = new uPlot({
      width: element.clientWidth,
      height: HEIGHT_PX,
      legend: { show: false },
      cursor: { y: false },
      scales: { x: { time: of.time, ...(named ? { range: [-0.6, xs.length - 0.4] as [number, number] } : {}) }, y: { range: (_, low, high) => [Math.min(0, low), high > low ? high * 1.08 : low + 1] } },
      axes: [
        {
          ...axis,
          ...(named ? {
            grid: { show: false },
            splits: () => xs.filter((at) => at % Math.max(1, Math.ceil(xs.length / Math.max(2, element.clientWidth / 80))) === 0),
            values: (_: uPlot, at: number[]) => at.map((one) => String(of.x[one] ?? '').slice(0, 12)),
          } : {}),
        },
        { ...axis, size: 64 },
      ],
      series: [{}, { label: of.label, stroke: accent, width: 2, fill: `color-mix(in srgb, ${accent} ${named ? 60 : 15}%, transparent)`, points: { show: !named && xs.length < 50 }, ...(named && bars ? { paths: bars } : {}) }],
    }, [xs, of.y], element);
    const watch = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: HEIGHT_PX }));
    watch.observe(element);
    return () => {
      watch.disconnect();
      plot.destroy();
    };
  }, [of, looks.value]);
  return <div class="plot" ref={host} role="img" aria-label={`${of.label}: ${of.y.length} values`} />;
}
