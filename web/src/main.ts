import "./style.css";
import "./lab_app.ts";
