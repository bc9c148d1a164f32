// Favorites: the star that marks one, and the list of them.
import { announce } from "../announce.ts";
import { favoritesOf, isFavorite, type Kind, toggleFavorite } from "../favorites.ts";
import { paths } from "../router.ts";

export function Star({ kind, name }: { kind: Kind; name: string }) {
  const isOne = isFavorite(kind, name);
  return (
    <button
      type="button"
      class="star"
      aria-pressed={isOne}
      title={isOne ? "A favorite" : "Make it a favorite"}
      onClick={() => {
        toggleFavorite(kind, name);
        announce(isOne ? `${name} is no longer a favorite.` : `${name} is a favorite.`);
      }}
    >
      <span aria-hidden="true">{isOne ? "★" : "☆"}</span>
      <span class="unseen">Favorite {name}</span>
    </button>
  );
}

/** A link to a topic or a group, with its star. */
export function StarredLink({ kind, name }: { kind: Kind; name: string }) {
  return (
    <span class="starred">
      <a class="data" href={kind === "topic" ? paths.topic(name) : paths.group(name)}>
        {name}
      </a>
      <Star kind={kind} name={name} />
    </span>
  );
}

const TITLES: Readonly<Record<Kind, string>> = {
  topic: "Favorite topics",
  group: "Favorite groups",
};

/** The favorites with this prefix, as links. Shows nothing if there are none. */
export function Favorites({ kind, prefix = "" }: { kind: Kind; prefix?: string }) {
  const names = favoritesOf(kind, prefix);
  if (names.length === 0) return null;
  return (
    <nav class="favorites" aria-label={TITLES[kind]}>
      <h2>{TITLES[kind]}</h2>
      <ul class="plain row">
        {names.map((name) => (
          <li key={name}>
            <StarredLink kind={kind} name={name} />
          </li>
        ))}
      </ul>
    </nav>
  );
}
