// Moves records through the picture when they really move. Users who prefer reduced motion see no movement; the
// numbers show it too.
import type { Flight } from "./members.ts";
import { type Picture, type Point, paceOf, pointsBetween, wayTo } from "./picture.ts";

const SVG = "http://www.w3.org/2000/svg";
const POINTS = 12;
const REDUCED = matchMedia("(prefers-reduced-motion: reduce)");

export class Motion {
  readonly #layer: SVGGElement;
  readonly #flying = new Set<Animation>();
  #isPaused = false;
  #picture: Picture | null = null;

  constructor(layer: SVGGElement) {
    this.#layer = layer;
  }

  /** Continues in this picture. If its size differs, records in flight end, because they would miss their places. */
  follow(picture: Picture): void {
    const isSame =
      this.#picture?.width === picture.width && this.#picture.height === picture.height;
    if (!isSame) for (const each of this.#flying) each.cancel();
    this.#picture = picture;
  }

  pause(isPaused: boolean): void {
    this.#isPaused = isPaused;
    for (const each of this.#flying) {
      if (isPaused) each.pause();
      else each.play();
    }
  }

  readonly show = ({ key, partition, memberId }: Flight): void => {
    const log = this.#picture?.logs[partition];
    const ms = paceOf(this.#flying.size);
    if (this.#picture === null || log === undefined || ms === null) return;
    if (this.#isPaused || document.hidden || REDUCED.matches) return;
    const { producer, members } = this.#picture;
    if (memberId === null) {
      this.#fly(key, [...wayTo(producer, log), log.tail], ms);
      return;
    }
    const member = members.find((each) => each.memberId === memberId);
    if (member !== undefined) this.#fly(key, [log.port, leftOf(member)], ms);
  };

  #fly(key: string, stops: readonly Point[], ms: number): void {
    const dot = document.createElementNS(SVG, "g");
    dot.setAttribute("class", "dot");
    const circle = document.createElementNS(SVG, "circle");
    circle.setAttribute("r", "9");
    const letter = document.createElementNS(SVG, "text");
    letter.setAttribute("text-anchor", "middle");
    letter.setAttribute("y", "4");
    letter.textContent = [...key][0] ?? "";
    dot.append(circle, letter);
    this.#layer.append(dot);
    const points = stops.slice(1).flatMap((to, i) => pointsBetween(stops[i] ?? to, to, POINTS));
    const flight = dot.animate(
      points.map(({ x, y }) => ({ transform: `translate(${x}px, ${y}px)` })),
      ms,
    );
    this.#flying.add(flight);
    const end = () => {
      this.#flying.delete(flight);
      dot.remove();
    };
    flight.addEventListener("finish", end);
    flight.addEventListener("cancel", end);
  }
}

type Box = Picture["producer"];
const leftOf = ({ x, y, height }: Box) => ({ x, y: y + height / 2 });
