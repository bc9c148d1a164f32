// The page for an address without a page.
import { paths } from "../router.ts";

export function NotFoundPage({ path }: { path: string }) {
  return (
    <>
      <h1>There is no such page</h1>
      <p>
        The console has no page <span class="data">{path}</span>.{" "}
        <a href={paths.overview}>Go to the overview.</a>
      </p>
    </>
  );
}
