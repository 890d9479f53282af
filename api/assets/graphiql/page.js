// Opens GraphiQL on this shop. A token goes into the headers: {"Authorization": "Bearer …"}; subscriptions send it too.
"use strict";
const scheme = location.protocol === "https:" ? "wss:" : "ws:";
const fetcher = GraphiQL.createFetcher({ url: "/graphql", subscriptionUrl: `${scheme}//${location.host}/graphql/ws` });
const defaultQuery = `# Ctrl-Enter runs it. A token goes under Headers: {"Authorization": "Bearer TOKEN"}
{
  products(first: 5) {
    totalCount
    nodes { title slug variants { sku name } }
  }
}
`;
ReactDOM.createRoot(document.getElementById("graphiql")).render(
  React.createElement(GraphiQL, { fetcher, defaultQuery, defaultEditorToolsVisibility: "headers" }),
);
