import "./language.ts"; // first: what follows formats numbers while it is imported
import "uplot/dist/uPlot.min.css";
import "./style.css";
import { render } from "preact";
import { App } from "./app.tsx";
import { begin, startClock } from "./store.ts";

startClock();
void begin();
render(<App />, document.getElementById("page")!);
