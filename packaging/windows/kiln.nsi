; The Windows installer: for one user, without administrator rights. On Windows and on Debian it is made with
; makensis -DPROGRAMS=<folder of the programs> -DVERSION=x.y.z -DLICENSE=<file> -DOUT=<setup.exe> kiln.nsi
Unicode true
Target amd64-unicode
!define APP "Kiln"
!define UNINSTALL "Software\Microsoft\Windows\CurrentVersion\Uninstall\Kiln"
!define LOGIN "kiln-desktop"
!define RUN "Software\Microsoft\Windows\CurrentVersion\Run"
!define APPROVED "Software\Microsoft\Windows\CurrentVersion\Explorer\StartupApproved\Run"
!define NOTIFIES "Software\Classes\AppUserModelId\io.esphome.kiln"
!define EDGE "Microsoft\EdgeUpdate\Clients\{F3017226-FE2A-4295-8BDF-00C3A9A7E4C5}"
Name "${APP}"
OutFile "${OUT}"
RequestExecutionLevel user
InstallDir "$LOCALAPPDATA\Programs\${APP}"
InstallDirRegKey HKCU "${UNINSTALL}" "InstallLocation"
SetCompressor /SOLID lzma
VIProductVersion "${VERSION}.0"
VIAddVersionKey "ProductName" "${APP}"
VIAddVersionKey "FileVersion" "${VERSION}"
VIAddVersionKey "ProductVersion" "${VERSION}"
VIAddVersionKey "FileDescription" "${APP} setup"
VIAddVersionKey "LegalCopyright" "Kiln contributors, Apache-2.0"
!include "MUI2.nsh"
!include "LogicLib.nsh"
!insertmacro MUI_PAGE_LICENSE "${LICENSE}"
!insertmacro MUI_PAGE_DIRECTORY
!insertmacro MUI_PAGE_INSTFILES
!insertmacro MUI_UNPAGE_CONFIRM
!insertmacro MUI_UNPAGE_INSTFILES
!insertmacro MUI_LANGUAGE "English"
!insertmacro MUI_LANGUAGE "German"
LangString RUNS ${LANG_ENGLISH} "Kiln still runs. Quit it in its menu, then try again."
LangString RUNS ${LANG_GERMAN} "Kiln l${U+00E4}uft noch. Bitte im Men${U+00FC} beenden und dann noch einmal versuchen."
LangString WEBVIEW ${LANG_ENGLISH} "Kiln's window needs Microsoft's WebView2. Open its download page?"
LangString WEBVIEW ${LANG_GERMAN} "Kilns Fenster braucht WebView2 von Microsoft. Die Seite zum Herunterladen ${U+00F6}ffnen?"
!if /FileExists "${PROGRAMS}\kiln-desktop.exe"
  !define DESKTOP
!endif

; Windows neither replaces nor deletes the file of a program that runs. Goes on as soon as it is free, asks after ten
; seconds, and gives up where nobody is asked.
!macro FREE NAME
  ${If} ${FileExists} "$INSTDIR\${NAME}"
    StrCpy $1 0
    ${Do}
      ClearErrors
      FileOpen $0 "$INSTDIR\${NAME}" a
      ${IfNot} ${Errors}
        FileClose $0
        ${ExitDo}
      ${ElseIf} $1 < 40
        IntOp $1 $1 + 1
        Sleep 250
      ${ElseIfNot} ${Cmd} `MessageBox MB_RETRYCANCEL "$(RUNS)" /SD IDCANCEL IDRETRY`
        Abort "$(RUNS)"
      ${EndIf}
    ${Loop}
  ${EndIf}
!macroend

; Ends the Kiln that runs; the window, and an app that only shows another's node, are their user's to close.
!macro END_KILN
  ${If} ${FileExists} "$INSTDIR\kiln.exe"
    ExecWait '"$INSTDIR\kiln.exe" stop'
  ${EndIf}
  !insertmacro FREE kiln.exe
  !insertmacro FREE kiln-desktop.exe
  !insertmacro FREE kiln-window.exe
!macroend

Section
  !insertmacro END_KILN
  SetOutPath "$INSTDIR"
  File "${PROGRAMS}/kiln.exe"
  File "/oname=LICENSE.txt" "${LICENSE}"
  !ifdef DESKTOP
    File "${PROGRAMS}/kiln-desktop.exe"
    File "${PROGRAMS}/kiln-window.exe"
    File /nonfatal "${PROGRAMS}/WebView2Loader.dll"
    CreateShortcut "$SMPROGRAMS\${APP}.lnk" "$INSTDIR\kiln-desktop.exe"
  !endif
  WriteUninstaller "$INSTDIR\uninstall.exe"
  WriteRegStr HKCU "${UNINSTALL}" "DisplayName" "${APP}"
  WriteRegStr HKCU "${UNINSTALL}" "DisplayVersion" "${VERSION}"
  WriteRegStr HKCU "${UNINSTALL}" "Publisher" "Kiln contributors"
  WriteRegStr HKCU "${UNINSTALL}" "InstallLocation" "$INSTDIR"
  WriteRegStr HKCU "${UNINSTALL}" "UninstallString" '"$INSTDIR\uninstall.exe"'
  WriteRegStr HKCU "${UNINSTALL}" "QuietUninstallString" '"$INSTDIR\uninstall.exe" /S'
  !ifdef DESKTOP
    ; WebView2 comes with Windows 11; elsewhere ask rather than download behind the user's back.
    SetRegView 32
    ReadRegStr $0 HKLM "Software\${EDGE}" "pv"
    ReadRegStr $1 HKCU "Software\${EDGE}" "pv"
    SetRegView 64
    ${If} "$0$1" == ""
      IfSilent +3
      MessageBox MB_YESNO "$(WEBVIEW)" IDNO +2
      ExecShell open "https://developer.microsoft.com/microsoft-edge/webview2/"
    ${EndIf}
  !endif
SectionEnd

; What belongs to the user (pairings, history, builds) stays.
Section Uninstall
  !insertmacro END_KILN
  Delete "$INSTDIR\kiln.exe"
  Delete "$INSTDIR\kiln-desktop.exe"
  Delete "$INSTDIR\kiln-window.exe"
  Delete "$INSTDIR\WebView2Loader.dll"
  Delete "$INSTDIR\LICENSE.txt"
  Delete "$INSTDIR\uninstall.exe"
  RMDir "$INSTDIR"
  Delete "$SMPROGRAMS\${APP}.lnk"
  DeleteRegKey HKCU "${UNINSTALL}"
  ; What Kiln writes itself when it is told to start at login, and when it notifies.
  DeleteRegValue HKCU "${RUN}" "${LOGIN}"
  DeleteRegValue HKCU "${APPROVED}" "${LOGIN}"
  DeleteRegKey HKCU "${NOTIFIES}"
SectionEnd
