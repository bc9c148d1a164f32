// The frame of every page: the navigation, the user, the theme, and the live region for screen readers.
import { useEffect, useRef } from "preact/hooks";
import { announcement } from "./announce.ts";
import { refusal } from "./api.ts";
import { route } from "./navigation.ts";
import { GroupsPage } from "./pages/groups.tsx";
import { HealthPage } from "./pages/health.tsx";
import { NotFoundPage } from "./pages/not-found.tsx";
import { OverviewPage } from "./pages/overview.tsx";
import { Outside } from "./pages/sign-in.tsx";
import { TopicsPage } from "./pages/topics.tsx";
import { paths, type Route } from "./router.ts";
import { isOffered, me } from "./session.ts";
import { later } from "./ui/later.tsx";
import { ThemeChoice } from "./ui/theme-choice.tsx";
import { Who } from "./ui/who.tsx";

const AccessPage = later(
  "the access page",
  async () => (await import("./pages/access.tsx")).AccessPage,
);
const AuditPage = later("the audit log", async () => (await import("./pages/audit.tsx")).AuditPage);
const CostsPage = later("the costs", async () => (await import("./pages/costs.tsx")).CostsPage);
const AlertsPage = later("the alerts", async () => (await import("./pages/alerts.tsx")).AlertsPage);
const LagsPage = later("the groups", async () => (await import("./pages/lags.tsx")).LagsPage);
const GroupPage = later("the group", async () => (await import("./pages/group.tsx")).GroupPage);
const TopicPage = later("the topic", async () => (await import("./pages/topic.tsx")).TopicPage);
const RecordPage = later("the record", async () => (await import("./pages/record.tsx")).RecordPage);
const DeletedTopicsPage = later(
  "the deleted topics",
  async () => (await import("./pages/deleted-topics.tsx")).DeletedTopicsPage,
);

export function Shell() {
  return (
    <>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <header>
        <a class="brand" href={paths.overview}>
          Rivulet
        </a>
        {me.value !== null && <Navigation />}
        <div class="row who">
          <Who />
          <ThemeChoice />
        </div>
      </header>
      <Main />
      <div class="unseen" aria-live="polite">
        {announcement.value}
      </div>
    </>
  );
}

interface Place {
  readonly title: string;
  readonly href: string;
  readonly pages: readonly Route["page"][];
  /** False if the grants allow nothing there. */
  readonly isOffered?: () => boolean;
}

const PLACES: readonly Place[] = [
  { title: "Overview", href: paths.overview, pages: ["overview"] },
  { title: "Topics", href: paths.topics(), pages: ["topics", "topic", "record", "deleted-topics"] },
  { title: "Groups", href: paths.groups(), pages: ["groups", "group", "lags"] },
  { title: "Access", href: paths.access, pages: ["access"] },
  {
    title: "Audit",
    href: paths.audit,
    pages: ["audit"],
    isOffered: () => isOffered("DESCRIBE", "cluster"),
  },
  {
    title: "Alerts",
    href: paths.alerts,
    pages: ["alerts"],
    isOffered: () => isOffered("DESCRIBE", "cluster"),
  },
  {
    title: "Costs",
    href: paths.costs,
    pages: ["costs"],
    isOffered: () => isOffered("DESCRIBE", "cluster"),
  },
  { title: "Health", href: paths.health, pages: ["health"] },
  { title: "Learn", href: paths.learn, pages: [] },
  { title: "Docs", href: paths.docs, pages: [] },
];

function Navigation() {
  const { page } = route.value;
  return (
    <nav aria-label="Console">
      <ul>
        {PLACES.filter((place) => place.isOffered?.() ?? true).map(({ title, href, pages }) => (
          <li key={href}>
            <a href={href} aria-current={pages.includes(page) ? "page" : undefined}>
              {title}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

/**
 * Screen readers announce a new page by its title. The keyboard focus starts at its beginning. Nothing scrolls for it:
 * the header above stays visible.
 */
function Main() {
  const ref = useRef<HTMLElement>(null);
  const isFirst = useRef(true);
  const current = route.value;
  const title = titleOf(current);
  const isSignedIn = me.value !== null && refusal.value === null;
  useEffect(() => {
    document.title = `${isSignedIn ? title : "Sign in"} – Rivulet`;
    if (isFirst.current) isFirst.current = false;
    else ref.current?.focus({ preventScroll: true });
  }, [title, isSignedIn]);
  return (
    <main id="main" tabIndex={-1} ref={ref}>
      {isSignedIn ? <Page route={current} /> : <Outside />}
    </main>
  );
}

function titleOf(current: Route): string {
  switch (current.page) {
    case "group":
      return `Group ${current.group}: ${current.tab}`;
    case "topic":
      return `Topic ${current.topic}: ${current.tab}`;
    case "record":
      return `Record ${current.topic} ${current.partition} ${current.offset}`;
    case "unknown":
      return "No such page";
    case "deleted-topics":
      return "Deleted topics";
    case "topics":
    case "groups":
      return [capital(current.page), current.prefix, current.after]
        .filter((part) => part !== "")
        .join(", ");
    default:
      return capital(current.page);
  }
}

function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

function Page({ route: current }: { route: Route }) {
  switch (current.page) {
    case "overview":
      return <OverviewPage />;
    case "groups":
      return <GroupsPage prefix={current.prefix} after={current.after} />;
    case "group":
      return <GroupPage key={current.group} groupId={current.group} tab={current.tab} />;
    case "topics":
      return <TopicsPage prefix={current.prefix} after={current.after} />;
    case "topic":
      return <TopicPage key={current.topic} name={current.topic} tab={current.tab} />;
    case "record":
      return (
        <RecordPage
          topic={current.topic}
          partition={current.partition}
          offset={Number(current.offset)}
        />
      );
    case "deleted-topics":
      return <DeletedTopicsPage />;
    case "access":
      return <AccessPage />;
    case "alerts":
      return <AlertsPage />;
    case "lags":
      return <LagsPage />;
    case "costs":
      return <CostsPage />;
    case "audit":
      return <AuditPage />;
    case "health":
      return <HealthPage />;
    case "unknown":
      return <NotFoundPage path={current.path} />;
  }
}
