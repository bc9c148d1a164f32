// The HTML of Markdown on the site.
import { describe, expect, test } from "vitest";
import {
  anchors,
  parseMarkdown,
  renderMarkdown,
  sectionsOf,
} from "../../../src/self-host/docs-markdown.ts";

function rendered(markdown: string): { html: string; faults: string[] } {
  const faults: string[] = [];
  const html = renderMarkdown(parseMarkdown(markdown), {
    link: (href) => {
      if (href === "nowhere.md") return null;
      return href.startsWith("../") ? { path: href.slice(3) } : { href };
    },
    picture: (src) =>
      src === "a.svg" ? { src: "/docs/pictures/a.svg", width: 20, height: 10 } : null,
    rule: (id) => (id === "LOG-1" ? "/docs/spec#LOG-1" : null),
    fault: (what) => faults.push(what),
  });
  return { html, faults };
}

describe("anchors", () => {
  test.each([
    ["Getting started", "getting-started"],
    ["What's new in 0.3?", "whats-new-in-03"],
    ["`retention.ms` and `group_id`", "retentionms-and-group_id"],
    ["Publish/subscribe – and more", "publishsubscribe--and-more"],
    ["A **bold** [link](x.md)", "a-bold-link"],
    ["Größe & Maß", "größe--maß"],
    ["日本語", "日本語"],
    ["1. First", "1-first"],
  ])("[DOC-5] %j is %s, as on GitHub", (heading, anchor) => {
    expect(parseMarkdown(`# T\n\n## ${heading}\n`).headings[1]?.id).toBe(anchor);
  });

  test("[DOC-5] the same heading again is counted", () => {
    const anchorOf = anchors();
    expect(["Foo", "Foo", "foo", "Foo 1", "Foo"].map(anchorOf)).toEqual([
      "foo",
      "foo-1",
      "foo-2",
      "foo-1-1",
      "foo-3",
    ]);
  });

  test("[DOC-5] each heading links to itself", () => {
    const { html } = rendered('# Title\n\n## A <b> & "c"\n'.replace("<b>", "\\<b>"));
    expect(html).toContain('<h1 id="title">Title</h1>');
    expect(html).toContain(
      '<h2 id="a-b--c">A &lt;b&gt; &amp; &quot;c&quot;</h2><a class="anchor" href="#a-b--c" aria-label="Link to “A &lt;b&gt; &amp; &quot;c&quot;”">#</a>',
    );
  });
});

describe("links", () => {
  test("[DOC-5] a link that leads nowhere is a fault, and its words stay", () => {
    expect(rendered("[the page](nowhere.md)")).toEqual({
      html: "<p>the page</p>\n",
      faults: ["the link nowhere.md leads nowhere"],
    });
  });

  test.each([
    ["[limits](../src/core/limits.ts)", "limits (<code>src/core/limits.ts</code>)"],
    ["[`limits.ts`](../src/core/limits.ts)", "<code>src/core/limits.ts</code>"],
    ["[examples](../examples)", "<code>examples</code>"],
  ])("[DOC-5] %s names a path that the site does not serve", (markdown, html) => {
    expect(rendered(markdown)).toEqual({ html: `<p>${html}</p>\n`, faults: [] });
  });

  test("[DOC-5] a rule that a text cites leads to it, and one in code is code", () => {
    const { html } = rendered("Stored. [LOG-1] `[LOG-1]` [NOT-1]");
    expect(html).toBe(
      '<p>Stored. <a class="rule" href="/docs/spec#LOG-1">[LOG-1]</a> <code>[LOG-1]</code> [NOT-1]</p>\n',
    );
  });

  test("[DOC-5] a rule of the list of rules is a place that a link may name", () => {
    const parsed = parseMarkdown("# Rules\n\n- **LOG-1** One.\n- **loud** Another.\n");
    expect([...parsed.anchors]).toEqual(["rules", "LOG-1"]);
    expect(rendered("- **LOG-1** One.\n").html).toContain('<li id="LOG-1">');
  });
});

describe("HTML", () => {
  test("[DOC-5] comments are dropped, as blocks and within a line", () => {
    const { html, faults } = rendered(
      "<!-- one\n\ntwo -->\n\nA <!-- b --> c.\n\n## D <!-- e -->\n",
    );
    expect(html.replace(/\s+/g, " ")).toContain("<p>A c.</p>");
    expect(html).not.toContain("<!--");
    expect(html).toContain('id="d"');
    expect(faults).toEqual([]);
  });

  test.each([
    "<script>x()</script>",
    "<b>bold</b>",
    '<p style="color:red">x</p>',
    '<a id="x"></a>',
  ])("[DOC-4] [DOC-5] %s is a fault", (markdown) => {
    const { html, faults } = rendered(markdown);
    expect(html).not.toMatch(/<(script|b|a)|style=/);
    expect(faults.length).toBeGreaterThan(0);
  });

  test("[DOC-5] what unfolds is kept", () => {
    const { html, faults } = rendered("<details>\n<summary>More</summary>\n\nText\n\n</details>\n");
    expect(html).toContain("<details>");
    expect(html).toContain("<summary>More</summary>");
    expect(faults).toEqual([]);
  });

  test("[DOC-5] text and entities are escaped once", () => {
    expect(rendered("a < b &amp; c `x<y&z`").html).toBe(
      "<p>a &lt; b &amp; c <code>x&lt;y&amp;z</code></p>\n",
    );
  });
});

describe("blocks", () => {
  test("[DOC-4] code is colored by classes, whatever stands behind its language", () => {
    const { html, faults } = rendered('```sh background="ready"\necho "a<b" # c\n```\n');
    expect(html).toContain('<div class="code"><pre tabindex="0"><code>');
    expect(html).toContain('<span class="h-string">&quot;a&lt;b&quot;</span>');
    expect(html).toContain('<span class="h-comment"># c</span>');
    expect(html).not.toContain("style=");
    expect(faults).toEqual([]);
  });

  test("[DOC-5] a language that nobody knows is a fault, and the code is shown", () => {
    const { html, faults } = rendered("```klingon\nQapla'\n```\n");
    expect(html).toContain("Qapla'");
    expect(faults).toEqual(['"klingon" is no language that the site can color']);
  });

  test("[DOC-9] a table scrolls by itself, and can be reached with the keyboard", () => {
    const { html } = rendered("| Key | Is |\n|---|--:|\n| `a` | 1 |\n");
    expect(html).toContain(
      '<div class="scroll" role="region" aria-label="Table: Key" tabindex="0">',
    );
    expect(html).toContain('<th scope="col">Key</th><th scope="col" class="right">Is</th>');
    expect(html).toContain('<td><code>a</code></td><td class="right">1</td>');
  });

  test("[DOC-5] a picture has its size and its words; without words, or without a file, it is a fault", () => {
    expect(rendered("![Two members](a.svg)").html).toContain(
      '<span class="picture" role="region" aria-label="Picture: Two members" tabindex="0"><img src="/docs/pictures/a.svg" alt="Two members" width="20" height="10"></span>',
    );
    expect(rendered("![](a.svg)").faults).toEqual([
      "the picture a.svg has no text that says what it shows",
    ]);
    expect(rendered("![x](b.svg)").faults).toEqual(["there is no picture b.svg"]);
  });

  test("[DOC-5] a note of GitHub's is a note", () => {
    const { html } = rendered("> [!WARNING]\n> Mind *this*.\n");
    expect(html).toContain('<div class="note warning"><p class="kind">Warning</p>');
    expect(html).toContain("<p>Mind <em>this</em>.</p>");
    expect(html).not.toContain("[!");
  });
});

test("[DOC-6] a section has the text below its heading, with code and cells and without comments", () => {
  const page =
    "# T\n\nIntro.\n\n## One\n\nA `code` <!-- c -->.\n\n- x\n- y\n\n```sh\nrun me\n```\n\n| K |\n|---|\n| cell |\n\n### Two\n";
  expect(sectionsOf(parseMarkdown(page)).map(({ id, body }) => [id, body])).toEqual([
    ["t", "Intro."],
    ["one", "A code . x y run me K cell"],
    ["two", ""],
  ]);
});

test("[DOC-6] a paragraph that begins with a bold sentence is a part with an anchor, which no link of a file may name", () => {
  const text = "# Words\n\n**Fetch.** To read.\n\nMore.\n\n**Not** one.\n\n**Fetch.** Again.\n";
  const parsed = parseMarkdown(text);
  expect(sectionsOf(parsed).map(({ id, text: title, body }) => [id, title, body])).toEqual([
    ["words", "Words", ""],
    ["fetch", "Fetch", "Fetch. To read. More. Not one."],
    ["fetch-1", "Fetch", "Fetch. Again."],
  ]);
  expect([...parsed.anchors]).toEqual(["words"]);
  const { html } = rendered(text);
  expect(html).toContain('<p id="fetch"><strong>Fetch.</strong> To read.</p>');
  expect(html).toContain("<p>More.</p>");
});
